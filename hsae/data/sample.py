"""One labelled image: how it is made from its encoded bytes, and varied where there are too few to train on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from hsae.data.open_image import open_with_mask
from hsae.errors import ImageError


@dataclass(frozen=True)
class Sample:
    """One image with its label; cut-outs stand in the middle of a white square."""

    image: Image.Image  # RGB
    key: str  # unique in its source: path relative to the folder, "row 17", "animals/cat"
    label: int | None  # index into Samples.classes
    wnid: str | None
    mask: np.ndarray | None = None  # bool [height, width], True on the object (alpha >= 128); None without alpha


def decode_sample(
    encoded: bytes | Path | None, source: str, key: str, label: int | None, classes: tuple[str, ...]
) -> Sample:
    """Decode a row of `source`; raises ImageError, which names the key, when it has no image or a broken one."""
    if encoded is None:
        raise ImageError(f"{key} of {source} has no image", "an image in every row")
    image, mask = open_with_mask(encoded, name=f"{key} of {source}")
    return Sample(image, key, label, None if label is None else classes[label], mask)


View = Callable[[Sample], Sample]
"""What is to be made of a sample as soon as it is decoded, e.g. the square that a backbone sees."""


def attempt(read: Callable[[], Sample], see: View | None = None) -> Sample | ImageError:
    """The sample that `read` gives, seen through `see`; or why it is broken."""
    try:
        sample = read()
    except ImageError as error:
        return error
    return sample if see is None else see(sample)


SMALLEST_CROP = 0.4
"""Least share of the image's area that a crop keeps."""


def varied(image: Image.Image, mask: np.ndarray | None, seed: tuple[int, ...]) -> tuple[Image.Image, np.ndarray | None]:
    """A random crop (40 to 100 % of the area, sides in the image's ratio), mirrored half of the time.

    The mask `[height, width]` is cropped and mirrored alike. Equal seeds give equal variations.
    """
    random = np.random.default_rng(seed)
    share = random.uniform(SMALLEST_CROP, 1.0) ** 0.5
    width, height = (max(1, round(share * side)) for side in image.size)
    left, top = random.integers(image.width - width + 1), random.integers(image.height - height + 1)
    mirror = bool(random.integers(2))
    image = image.crop((left, top, left + width, top + height))
    mask = None if mask is None else mask[top : top + height, left : left + width]
    if mirror:
        image, mask = ImageOps.mirror(image), None if mask is None else mask[:, ::-1]
    return image, mask
