"""Natural backgrounds: the part of a photograph where nothing stands in front."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from PIL import Image

from hsae.backbones.base import Backbone
from hsae.backbones.focus import load_dinov2_small_focus
from hsae.backbones.focus_mask import foreground_mask
from hsae.data.samples import load_samples
from hsae.faithfulness.scenes import blur_photo

SMALLEST = 0.4
"""The shortest side of such a part, as a share of the photograph's; smaller ones would be too blurred."""


def backgrounds_of(photographs: str | None, side: int, n: int) -> list[Image.Image]:
    """Up to `n` squares: natural backgrounds of a source of photographs; for None blurred starter cut-outs."""
    if photographs is None:
        return [blur_photo(sample.image, side) for sample in load_samples("starter:cutouts").take(n)]
    photos = (sample.image for sample in load_samples(photographs, shuffle_seed=0))
    return natural_backgrounds(photos, load_dinov2_small_focus(image_size=side), n)


def natural_backgrounds(photos: Iterable[Image.Image], focus: Backbone, n: int) -> list[Image.Image]:
    """Up to `n` square backgrounds, one of each photograph that has a large enough part without foreground.

    focus: dinov2-small-focus, which says what is foreground; the squares are of the size it sees.
    """

    def backgrounds() -> Iterator[Image.Image]:
        for photo in photos:
            square = focus.preprocessing.crop(photo)
            background = natural_background(square, foreground_mask(square, focus))
            if background is not None:
                yield background

    return list(islice(backgrounds(), n))


def natural_background(photo: Image.Image, foreground: np.ndarray) -> Image.Image | None:
    """The largest square without foreground, enlarged to the size of the square photograph; None if it is too small.

    foreground: bool `[side, side]`, as of `focus_mask.foreground_mask`.
    """
    left, top, side = empty_square(foreground)
    if side < SMALLEST * photo.width:
        return None
    part = photo.crop((left, top, left + side, top + side))  # resize(box=...) would also read pixels around it
    return part.resize(photo.size, Image.Resampling.BICUBIC)


def empty_square(mask: np.ndarray) -> tuple[int, int, int]:
    """Left, top and side of the largest square in which a mask `[height, width]` is False; side 0 when it never is."""
    sums = np.pad(mask.astype(np.int64).cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def empty(side: int) -> np.ndarray:
        """Whether the square of that side is empty, by its top left corner."""
        inside = sums[side:, side:] - sums[:-side, side:] - sums[side:, :-side] + sums[:-side, :-side]
        return np.argwhere(inside == 0)

    shortest, longest = 0, min(mask.shape)
    while shortest < longest:  # a square that holds an empty one is empty only if it is
        middle = (shortest + longest + 1) // 2
        shortest, longest = (middle, longest) if len(empty(middle)) else (shortest, middle - 1)
    if shortest == 0:
        return 0, 0, 0
    top, left = empty(shortest)[0].tolist()
    return left, top, shortest
