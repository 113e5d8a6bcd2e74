"""One way in for every image: what the app, the library and the data loaders see of a photograph is the same pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from hsae.data.decode import (
    EncodedImage,
    check_shape,
    decode_with_mask,
    eight_bit,
    image_errors,
    upright_rgb,
)
from hsae.data.limits import Limits
from hsae.errors import ImageError

ImageSource = EncodedImage | Image.Image | np.ndarray


def open_image(source: ImageSource, *, name: str | None = None, min_side: int = 8) -> Image.Image:
    """An upright RGB image of at most 1024 pixels a side from a path, bytes, a file, a PIL image or a numpy array.

    The first frame, turned as Exif says; transparent parts become white, and a cut-out stands in the middle of a white
    square, so that a centre crop keeps all of it. 16-bit and float values are rescaled to 8 bits; CMYK and palettes
    become RGB. Arrays: `[height, width]`, or `[height, width, 3 or 4]`. `name` is what errors call the image. Raises
    ImageError for what is no whole image, or is under `min_side` pixels or over 20 times as long as wide.
    """
    return open_with_mask(source, name=name, min_side=min_side)[0]


def open_with_mask(
    source: ImageSource, *, name: str | None = None, min_side: int = 8
) -> tuple[Image.Image, np.ndarray | None]:
    """As `open_image`, and where alpha >= 128: bool [height, width], or None when the image has no alpha."""
    limits = Limits(min_side=min_side)
    if isinstance(source, np.ndarray):
        image, mask = _from_pixels(_from_array(source, name or "the array"), name or "the array", limits)
    elif isinstance(source, Image.Image):
        image, mask = _from_pil(source, name or _name(source), limits)
    elif isinstance(source, bytes | str | Path) or hasattr(source, "read"):
        image, mask = decode_with_mask(source, name=name, limits=limits)
    else:
        raise ImageError(f"{source!r:.200} as an image", "a path, bytes, a file, a PIL image or a numpy array")
    return (image, mask) if mask is None else _squared(image, mask)


def _from_pil(image: Image.Image, name: str, limits: Limits) -> tuple[Image.Image, np.ndarray | None]:
    """A large JPEG that is not decoded yet is decoded from its file, or it would not be scaled down on the way."""
    stream = getattr(image, "fp", None)
    if stream and image.format in ("JPEG", "MPO") and min(image.size) >= 2 * limits.max_side:
        with image_errors(name):
            at = stream.tell()
            decoded = decode_with_mask(stream, name=name, limits=limits)
            stream.seek(at)
            return decoded
    return _from_pixels(image, name, limits)


def _from_pixels(image: Image.Image, name: str, limits: Limits) -> tuple[Image.Image, np.ndarray | None]:
    check_shape(image.size, name, limits)
    with image_errors(name):
        image.load()
        return upright_rgb(image, image.info.get("exif", b""), limits.max_side)


def _from_array(values: np.ndarray, name: str) -> Image.Image:
    if values.ndim == 3 and values.shape[2] == 1:
        values = values[:, :, 0]
    if values.dtype.kind not in "buif" or values.ndim not in (2, 3) or values.shape[2:] not in ((), (3,), (4,)):
        got = f"{name} of shape {values.shape} and type {values.dtype}"
        raise ImageError(got, "numbers [height, width], or [height, width, 3 or 4] with the colours last")
    if 0 in values.shape:
        raise ImageError(f"{name} of shape {values.shape}", "an array with pixels")
    with image_errors(name):
        is_bool = values.dtype.kind == "b"
        return Image.fromarray(values.astype(np.uint8) * 255 if is_bool else eight_bit(values, values.dtype))


def _name(image: Image.Image) -> str:
    return Path(getattr(image, "filename", "") or "the image").name


def _squared(image: Image.Image, mask: np.ndarray) -> tuple[Image.Image, np.ndarray]:
    """A cut-out in the middle of a white square; other images as they are."""
    side = max(image.size)
    if mask.all() or image.width == image.height:
        return image, mask
    left, top = (side - image.width) // 2, (side - image.height) // 2
    around = ((top, side - image.height - top), (left, side - image.width - left))
    padded = Image.new("RGB", (side, side), "white")
    padded.paste(image, (left, top))
    return padded, np.pad(mask, around)
