"""What is said of a picture and still said of it when it looks otherwise, beside what is said of any such picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsae.measures.statistics import against_control, interval

Said = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Survival:
    """Shares in [0, 1] of what is said of each picture, `[n]`; NaN for a picture of which nothing is said."""

    kept: NDArray[np.float64]
    """Also said of its other version."""
    null: NDArray[np.float64]
    """Also said of the other version of another picture, mean over all others."""

    def numbers(self, seed: int = 0) -> dict[str, float | int | None]:
        """Means over pictures, with 95 % intervals from resampled pictures, and p of the gain by sign flips.

        pictures: of which anything is said; kept, low, high; null; gain = kept - null, gain_low, gain_high, p. None
        without pictures.
        """
        kept, gain = interval(self.kept, seed), against_control(self.kept, self.null, seed)
        present = np.isfinite(self.kept)
        null = float(self.null[present].mean()) if present.any() else None
        return {
            "pictures": int(present.sum()),
            "kept": kept["mean"],
            "low": kept["low"],
            "high": kept["high"],
            "null": null,
            "gain": gain["difference"],
            "gain_low": gain["low"],
            "gain_high": gain["high"],
            "p": gain["p"],
        }


def survival_of(said: Said, changed: Said) -> Survival:
    """said, changed `[n, features]`: of n pictures, two or more, and of the other version of each."""
    count = said.sum(1).astype(float)
    both = said.astype(float) @ changed.T.astype(float)
    own = np.diag(both)
    with np.errstate(invalid="ignore"):
        return Survival(own / count, (both.sum(1) - own) / (len(said) - 1) / count)
