"""One labelled image, and how it is made from its encoded bytes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

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
