"""Variations of one photograph, for data sets too small to train on as they are."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

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
