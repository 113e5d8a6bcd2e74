"""The one image decoder, safe for pictures from strangers: data sets and visitors' uploads both come through here.

The pixel limits are checked on the header, before anything is allocated. The work is bounded, whatever the file says:
by its structure (`jpeg`, `png`), by a clock that stops the reading (`TimedBytes`), and for formats whose decoders take
the whole file in one call, in a process that can be stopped (`apart`). No global state of Pillow or of `warnings` is
touched, so threads may decode side by side.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageChops, UnidentifiedImageError, features

from hsae.data.apart import decode_apart, must_be_apart
from hsae.data.exif import upright_turn
from hsae.data.jpeg import check_scans, lean_jpeg
from hsae.data.limits import MAX_BYTES, SECONDS, Limits, TimedBytes, TooMuchWork
from hsae.data.png import lean_png
from hsae.errors import ImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", *(["AVIF"] if features.check("avif") else []))
MAX_PIXELS = 20_000_000  # decoded: 80 MB in memory
MAX_DECLARED_PIXELS = 50_000_000  # a JPEG may declare more, because libjpeg scales it down while decoding

_LIMITS = Limits()
_KNOWN = f"an image ({', '.join(FORMATS)})"

EncodedImage = bytes | str | Path | BinaryIO

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_UNREAD: dict[str, Callable[[bytes], bool]] = {
    "HEIC": lambda head: head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS,
    "AVIF": lambda head: head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"),
    "JPEG XL": lambda head: head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
}


def decode_with_mask(
    source: EncodedImage, *, name: str | None = None, limits: Limits = _LIMITS
) -> tuple[Image.Image, np.ndarray | None]:
    """Decode the first frame of `source` (bytes, path or seekable binary file) to an upright RGB image on white.

    Beside it, where alpha >= 128: bool [height, width], or None when the image has no alpha. `name` is what errors call
    the image. Raises ImageError for anything that is not a whole image of a known format and within `limits`, or that
    would take more than 2 seconds of processor time.
    """
    name = name or (Path(source).name if isinstance(source, str | Path) else "the image")
    encoded = _read(source, name)
    if must_be_apart(encoded):
        return decode_apart(encoded, name, limits)
    return decode_here(encoded, name, limits)


def decode_here(encoded: bytes, name: str, limits: Limits) -> tuple[Image.Image, np.ndarray | None]:
    """`decode_with_mask` in this process, whatever the format."""
    with image_errors(name, encoded):
        lean, exif = _lean(encoded)
        with Image.open(TimedBytes(lean), formats=FORMATS) as image:
            check_shape(image.size, name, limits)
            _check_pixels(image.size, name, MAX_DECLARED_PIXELS)
            image.draft(None, (limits.max_side, limits.max_side))
            _check_pixels(image.size, name, MAX_PIXELS)
            if image.format == "JPEG":
                check_scans(lean)
            image.load()
            # Pillow turns a TIFF itself and drops what said so while loading; AVIF states its turn as Exif.
            return upright_rgb(image, exif or image.info.get("exif", b""), limits.max_side)


def upright_rgb(image: Image.Image, exif: bytes, max_side: int) -> tuple[Image.Image, np.ndarray | None]:
    """A loaded image of any mode, turned as its Exif block says, as RGB on white, with where alpha >= 128 if any."""
    turn = upright_turn(exif)
    bands = [band if turn is None else band.transpose(turn) for band in _split_alpha(_eight_bit(image))]
    for band in bands:
        band.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
        band.info.clear()  # or the orientation would be applied once more, and the place of the photo kept
    return bands[0], np.asarray(bands[1]) >= 128 if len(bands) == 2 else None


def _read(source: EncodedImage, name: str) -> bytes:
    try:
        encoded = source if isinstance(source, bytes) else _read_file(source)
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name, or a closed stream
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(f"{name} cannot be opened: {reason}", "a readable image file") from error
    if len(encoded) > MAX_BYTES:
        expected = f"at most {MAX_BYTES // 1_000_000} MB"
        raise ImageError(f"{name} has more bytes than any picture needs", expected, "Scale it down first.")
    return encoded


def _read_file(source: str | Path | BinaryIO) -> bytes:
    if not isinstance(source, str | Path):
        source.seek(0)
        return bytes(source.read(MAX_BYTES + 1))
    if not S_ISREG(os.stat(source).st_mode):  # opening a pipe or a device may wait for ever
        raise ValueError("it is not a file")
    with open(source, "rb") as stream:
        return stream.read(MAX_BYTES + 1)


def _lean(encoded: bytes) -> tuple[bytes, bytes]:
    """The picture without what is not its pixels, where that can be told, and its Exif block."""
    if encoded.startswith(b"\xff\xd8"):
        return lean_jpeg(encoded)
    if encoded.startswith(b"\x89PNG\r\n\x1a\n"):
        return lean_png(encoded)
    return encoded, b""


@contextmanager
def image_errors(name: str, encoded: bytes = b"") -> Iterator[None]:
    """Pillow raises anything from struct.error to SyntaxError on broken bytes: make it all ImageError."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} {_what_it_is(encoded)}", _KNOWN, "Save it as PNG or JPEG.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} is too large: {error}", _at_most(MAX_PIXELS), "Scale it down first.") from error
    except TooMuchWork as error:
        expected = f"a picture that is decoded in {SECONDS:g} seconds"
        raise ImageError(f"{name} {error}", expected, "Open it in an image program and save it again.") from error
    except Exception as error:
        got = f"{name} is broken or cut short ({error})"
        raise ImageError(got, "a whole image", "Open it in an image program and save it again.") from error


def _what_it_is(encoded: bytes) -> str:
    head = encoded[:512]
    if not head:
        return "is empty (0 bytes)"
    if b"<svg" in head.lower():
        return "is an SVG drawing"
    for kind, is_kind in _UNREAD.items():
        if is_kind(head):
            return f"is a picture of the format {kind}, which is not read here"
    for kind, is_kind in _UNREAD.items():
        if is_kind(head):
            return f"is a picture of the format {kind}, which is not read here"
    if all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return "is text"
    return "is of an unknown format or broken at its start"


def check_shape(size: tuple[int, int], name: str, limits: Limits) -> None:
    """ImageError for sides too short or too unlike."""
    got = f"{name} is {size[0]} x {size[1]} pixels"
    if min(size) < limits.min_side:
        raise ImageError(got, f"at least {limits.min_side} pixels a side", "Use a larger picture.")
    if max(size) > limits.max_aspect * min(size):
        raise ImageError(got, f"the long side at most {limits.max_aspect:g} times the short one", "Crop it.")


def _check_pixels(size: tuple[int, int], name: str, limit: int) -> None:
    if size[0] * size[1] > limit:
        raise ImageError(f"{name} is {size[0]} x {size[1]} pixels", _at_most(limit), "Scale it down first.")


def _eight_bit(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and float gray to 8 bits by their full scale, and plain CMYK to Adobe's polarity."""
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        return ImageChops.invert(image)  # Pillow assumes Adobe's inverted inks even where no Adobe marker says so
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image)
    is_16_bit = image.format == "PPM" and image.mode == "I"
    return Image.fromarray(eight_bit(values, np.dtype(np.uint16) if is_16_bit else values.dtype))


def eight_bit(values: np.ndarray, stored: np.dtype) -> np.ndarray:
    """Brightnesses of any scale as uint8; `stored` is the type they had, which says what white is, or leaves a choice.

    Raises ValueError for values that are negative, not finite or of no usual scale.
    """
    scaled = values.astype(np.float32)
    if not np.isfinite(scaled).all() or scaled.min() < 0:
        raise ValueError("negative or non-finite gray values")
    scaled *= np.float32(255 / _full_scale(stored, float(scaled.max())))
    return np.rint(scaled).clip(0, 255).astype(np.uint8)


def _full_scale(stored: np.dtype, largest: float) -> float:
    """Of wide types the smallest usual full scale that holds every value."""
    if stored.kind == "u" and stored.itemsize <= 2:
        return float(np.iinfo(stored).max)
    scales = (1.0, 255.0, 65535.0) if stored.kind == "f" else (255.0, 65535.0, 2.0**31)
    fitting = [scale for scale in scales if largest <= scale]
    if not fitting:
        raise ValueError(f"gray values up to {largest:g}, of unknown scale")
    return fitting[0]


def _split_alpha(image: Image.Image) -> list[Image.Image]:
    """RGB on white, followed by the alpha band where there is one."""
    if not image.has_transparency_data:
        return [image.convert("RGB")]
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    rgb = Image.new("RGB", image.size, "white")
    rgb.paste(image, mask=alpha)
    return [rgb, alpha]


def _at_most(pixels: int) -> str:
    return f"at most {pixels // 1_000_000} million pixels"
