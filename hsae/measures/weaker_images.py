"""The images on which each latent is neither silent nor among its strongest: what a list of top images hides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csc_array, csr_array

SHOWN = 4
"""Images of each kind."""

Shares = tuple[tuple[int, int], ...]
"""(number of an image or a latent, per cent)."""


@dataclass(frozen=True)
class WeakerImages:
    """Images a latent fires on, each with its activation in per cent of the largest, strongest first."""

    middle: Shares = ()
    """Around the median of all its firings."""
    low: Shares = ()
    """The weakest of its firings."""

    @property
    def images(self) -> list[int]:
        """All of them."""
        return [image for image, _ in (*self.middle, *self.low)]

    def renumbered(self, rows: Sequence[int]) -> WeakerImages:
        """The same with `rows[image]` in place of every image."""
        return WeakerImages(*(tuple((rows[i], share) for i, share in kind) for kind in (self.middle, self.low)))


def weaker_images(z: csr_array, top: int = 9) -> list[WeakerImages]:
    """For every latent of `z [n_images, d_sae]` up to `SHOWN` images of each kind, none of its `top` strongest.

    Equal activations stand in the order of the images; a latent that fires on at most `top` images has none.
    """
    columns = csc_array(z)
    return [
        _weaker(columns.indices[start:end], columns.data[start:end], top)
        for start, end in zip(columns.indptr[:-1], columns.indptr[1:], strict=True)
    ]


def _weaker(images: np.ndarray, values: np.ndarray, top: int) -> WeakerImages:
    order = np.lexsort((images, -values))
    order = order[values[order] > 0]
    low = max(top, len(order) - SHOWN)
    start = max(top, min((len(order) - SHOWN) // 2, low - SHOWN))
    kinds = (order[start : min(start + SHOWN, low)], order[low:])
    most = float(values.max(initial=0))
    return WeakerImages(
        *(tuple((int(images[i]), round(100 * float(values[i]) / most)) for i in kind) for kind in kinds)
    )
