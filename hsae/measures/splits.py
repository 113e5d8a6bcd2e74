"""Which images are set apart, so that what was chosen on some is scored on others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def heldout_rows(labels: Sequence[int | None], share: float, seed: int = 0) -> NDArray[np.int64]:
    """Sorted rows to set apart: `share` of every class (rounded, random but always the same).

    Of a class with several images at least one is set apart and one is not; the only image of a class is not.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    classes = np.array([-1 if label is None else label for label in labels])[order]
    groups = [order[classes == c] for c in np.unique(classes)]
    chosen = [rows[: min(len(rows) - 1, max(1, round(share * len(rows))))] for rows in groups]
    return np.sort(np.concatenate(chosen)).astype(np.int64)
