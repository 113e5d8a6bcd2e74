"""Splits of images, stratified by class: the images that choose are never the images that score."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def halves(labels: NDArray[np.int64], seed: int = 0) -> NDArray[np.bool_]:
    """Images of the first half, bool `[n]`: half of every class at random, so that choice and score can be kept apart.

    Classes with an odd number of images give the first half one more or one fewer in turn; -1 counts as a class.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    first = np.zeros(len(labels), dtype=bool)
    first[order[::2]] = True
    return first


def rows_apart(labels: Sequence[int | None], share: float, seed: int = 0) -> NDArray[np.int64]:
    """Sorted rows to set apart: `share` of every class (rounded, random but always the same).

    Of a class with several images at least one is set apart and one is not; the only image of a class is not.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    classes = np.array([-1 if label is None else label for label in labels])[order]
    groups = [order[classes == c] for c in np.unique(classes)]
    chosen = [rows[: min(len(rows) - 1, max(1, round(share * len(rows))))] for rows in groups]
    return np.sort(np.concatenate(chosen)).astype(np.int64)
