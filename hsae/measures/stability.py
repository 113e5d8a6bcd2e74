"""Do two trainings find the same latents? Partners by their decoder rows, each latent in one pair."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from hsae.errors import InputError

SAME = 0.7
"""Cosine of two decoder rows from which on they count as one direction."""


@dataclass(frozen=True, eq=False)
class Partners:
    """The pairing of two dictionaries with the largest sum of cosines."""

    partner: NDArray[np.int64]
    """Row of the second for every row of the first, `[n]`."""
    cosine: NDArray[np.float64]
    """Of each pair, in [-1, 1]."""

    @property
    def stable(self) -> float:
        """Share of latents with a partner of cosine SAME or more."""
        return float((self.cosine >= SAME).mean())


def partners(first: NDArray[np.float32], second: NDArray[np.float32]) -> Partners:
    """Pair two decoders `[n, d_in]` of equal shape by the Hungarian method."""
    if first.shape != second.shape or not len(first):
        raise InputError(f"decoders of shape {first.shape} and {second.shape}", "two of equal shape")
    unit = [rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12) for rows in (first, second)]
    cosine = unit[0] @ unit[1].T
    _, partner = linear_sum_assignment(cosine, maximize=True)
    return Partners(partner, cosine[np.arange(len(partner)), partner])


def same_name(found: Partners, first: NDArray[np.object_], second: NDArray[np.object_]) -> float | None:
    """Share of the named latents of the first whose partner has the same node; names are node ids, None for unnamed."""
    named = np.flatnonzero([name is not None for name in first])
    return float(np.mean(first[named] == second[found.partner[named]])) if len(named) else None
