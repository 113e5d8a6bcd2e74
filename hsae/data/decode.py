"""The one image decoder, safe for pictures from strangers: data sets and visitors' uploads both come through here.

The pixel limits are checked on the header, before anything is allocated. No global state of Pillow or of `warnings` is
touched, so threads may decode side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import ExifTags, Image, ImageChops, UnidentifiedImageError, features

from hsae.errors import ImageError

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "PPM", *(["AVIF"] if features.check("avif") else []))
MAX_PIXELS = 20_000_000  # decoded: 80 MB in memory
MAX_DECLARED_PIXELS = 50_000_000  # a JPEG may declare more, because libjpeg scales it down while decoding
MAX_SIDE = 1024

_KNOWN = f"an image ({', '.join(FORMATS)})"

ImageSource = bytes | str | Path | BinaryIO

_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_UNREAD = {
    "HEIC": lambda head: head[4:8] == b"ftyp" and head[8:12] in _HEIC_BRANDS,
    "AVIF": lambda head: head[4:8] == b"ftyp" and head[8:12] in (b"avif", b"avis"),
    "JPEG XL": lambda head: head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
}

_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode_image(
    source: ImageSource,
    *,
    name: str | None = None,
    min_side: int = 8,
    max_aspect: float = 20.0,
    max_side: int = MAX_SIDE,
) -> Image.Image:
    """Decode the first frame of `source` (bytes, path or seekable binary file) to an upright RGB image on white.

    Longer sides than `max_side` pixels are scaled down, keeping the aspect. `name` is what errors call the image.
    Raises ImageError for anything that is not a whole image of a known format, of at least `min_side` pixels and at
    most `max_aspect` times as long as wide.
    """
    return decode_with_mask(source, name=name, min_side=min_side, max_aspect=max_aspect, max_side=max_side)[0]


def decode_with_mask(
    source: ImageSource,
    *,
    name: str | None = None,
    min_side: int = 8,
    max_aspect: float = 20.0,
    max_side: int = MAX_SIDE,
) -> tuple[Image.Image, np.ndarray | None]:
    """As `decode_image`, and where alpha >= 128: bool [height, width], or None when the image has no alpha."""
    name = name or (Path(source).name if isinstance(source, str | Path) else "the image")
    with _stream(source, name) as stream, _image_errors(stream, name), Image.open(stream, formats=FORMATS) as image:
        _check_shape(image.size, name, min_side, max_aspect)
        _check_pixels(image.size, name, MAX_DECLARED_PIXELS)
        image.draft(None, (max_side, max_side))
        _check_pixels(image.size, name, MAX_PIXELS)
        image.load()
        # Decoders that turn the image themselves (TIFF, AVIF) drop the tag while loading, so it is read afterwards.
        turn = _UPRIGHT.get(_orientation(image))
        bands = [band if turn is None else band.transpose(turn) for band in _split_alpha(_eight_bit(image))]
        for band in bands:
            band.thumbnail((max_side, max_side), Image.Resampling.LANCZOS, reducing_gap=3.0)
            band.info.clear()  # or the orientation would be applied once more, and the place of the photo kept
    return bands[0], np.asarray(bands[1]) >= 128 if len(bands) == 2 else None


@contextmanager
def _stream(source: ImageSource, name: str) -> Iterator[BinaryIO]:
    if isinstance(source, bytes):
        yield BytesIO(source)
    elif not isinstance(source, str | Path):
        yield source
    else:
        try:
            stream = open(source, "rb")  # noqa: SIM115 - closed below; only a failure to open is caught here
        except OSError as error:
            raise ImageError(f"{name} cannot be opened: {error.strerror}", "a readable image file") from error
        with stream:
            yield stream


@contextmanager
def _image_errors(stream: BinaryIO, name: str) -> Iterator[None]:
    """Pillow raises anything from struct.error to SyntaxError on broken bytes: make it all ImageError."""
    try:
        yield
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} {_what_it_is(stream)}", _KNOWN, "Save it as PNG or JPEG.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(f"{name} is too large: {error}", _at_most(MAX_PIXELS), "Scale it down first.") from error
    except Exception as error:
        got = f"{name} is broken or cut short ({error})"
        raise ImageError(got, "a whole image", "Open it in an image program and save it again.") from error


def _what_it_is(stream: BinaryIO) -> str:
    stream.seek(0)
    head = stream.read(512)
    if not head:
        return "is empty (0 bytes)"
    if b"<svg" in head.lower():
        return "is an SVG drawing"
    for kind, is_kind in _UNREAD.items():
        if is_kind(head):
            return f"is a picture of the format {kind}, which is not read here"
    if all(byte >= 32 or byte in b"\t\n\r\f" for byte in head):
        return "is text"
    return "is of an unknown format or broken at its start"


def _check_shape(size: tuple[int, int], name: str, min_side: int, max_aspect: float) -> None:
    got = f"{name} is {size[0]} x {size[1]} pixels"
    if min(size) < min_side:
        raise ImageError(got, f"at least {min_side} pixels a side", "Use a larger picture.")
    if max(size) > max_aspect * min(size):
        raise ImageError(got, f"the long side at most {max_aspect:g} times the short one", "Crop it.")


def _check_pixels(size: tuple[int, int], name: str, limit: int) -> None:
    if size[0] * size[1] > limit:
        raise ImageError(f"{name} is {size[0]} x {size[1]} pixels", _at_most(limit), "Scale it down first.")


def _orientation(image: Image.Image) -> int:
    try:
        return image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # a broken EXIF block (ImageNet has some) says nothing about the pixels
        return 1


def _eight_bit(image: Image.Image) -> Image.Image:
    """Bring 16-bit, 32-bit and float gray to 8 bits by their full scale, and plain CMYK to Adobe's polarity."""
    if image.mode == "CMYK" and image.format == "JPEG" and "adobe" not in image.info:
        return ImageChops.invert(image)  # Pillow assumes Adobe's inverted inks even where no Adobe marker says so
    if not image.mode.startswith(("I", "F")):
        return image
    values = np.asarray(image).astype(np.float32)
    if not np.isfinite(values).all() or values.min() < 0:
        raise ValueError("negative or non-finite gray values")
    scaled = values * np.float32(255 / _full_scale(image, float(values.max())))
    return Image.fromarray(np.rint(scaled).clip(0, 255).astype(np.uint8))


def _full_scale(image: Image.Image, largest: float) -> float:
    if image.mode.startswith("I;16") or (image.format == "PPM" and image.mode == "I"):
        return 65535.0
    # Wider gray does not say its full scale: take the smallest usual one that holds every value.
    scales = (255.0, 65535.0, 2.0**31) if image.mode == "I" else (1.0, 255.0, 65535.0)
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
