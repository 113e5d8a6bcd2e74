"""Partners: from a score for every pair of latents to best matches, mutual ones and a one-to-one assignment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from hsae.errors import InputError

NONE = -1
"""In place of a partner: the latent fires on no image, or scores above 0 with no latent of the other SAE."""


@dataclass(frozen=True, eq=False)
class Matching:
    """Partners of the latents of A among those of B and the other way round, by one score."""

    score: NDArray[np.float32]
    """max_g s(f, g) of every latent f of A, `[d_a]`; NaN for one that fires on no image."""
    partner: NDArray[np.int32]
    """The g that reaches it (the first of equals), `[d_a]`; NONE when it is not above 0."""
    back_score: NDArray[np.float32]
    """max_f s(f, g) of every latent g of B, `[d_b]`; NaN for one that fires on no image."""
    back_partner: NDArray[np.int32]
    """The f that reaches it, `[d_b]`."""
    assigned: NDArray[np.int32]
    """Partner of f when every g has at most one and the sum of scores is largest, `[d_a]`; NONE without one."""
    assigned_score: NDArray[np.float32]
    """Its score, `[d_a]`; 0 without a partner, NaN for a latent that fires on no image."""

    @property
    def mutual(self) -> NDArray[np.bool_]:
        """f is the best partner of its best partner, `[d_a]`."""
        back = self.back_partner[self.partner]
        return (self.partner != NONE) & (back == np.arange(len(self.partner)))

    @property
    def living(self) -> NDArray[np.bool_]:
        """Latents of A that fire on some image, `[d_a]`."""
        return ~np.isnan(self.score)

    def reversed(self) -> Matching:
        """The same partners seen from B."""
        assigned = np.full(len(self.back_score), NONE, np.int32)
        value = np.where(np.isnan(self.back_score), np.nan, 0).astype(np.float32)
        has = np.flatnonzero(self.assigned != NONE)
        assigned[self.assigned[has]], value[self.assigned[has]] = has, self.assigned_score[has]
        return Matching(self.back_score, self.back_partner, self.score, self.partner, assigned, value)


def match(scores: NDArray[np.float32], living_a: NDArray[np.bool_], living_b: NDArray[np.bool_]) -> Matching:
    """Best, mutual and assigned partners by `scores [d_a, d_b]`; only living latents have or are partners."""
    if scores.shape != (len(living_a), len(living_b)):
        raise InputError(f"scores {scores.shape}, living {len(living_a)} and {len(living_b)}", "[d_a, d_b]")
    living_rows, living_columns = np.flatnonzero(living_a), np.flatnonzero(living_b)
    positive = np.maximum(scores[np.ix_(living_rows, living_columns)], 0)
    score, partner = _best(positive, living_columns, living_rows, len(living_a))
    back_score, back_partner = _best(positive.T, living_rows, living_columns, len(living_b))
    assigned, value = np.full(len(living_a), NONE, np.int32), np.where(living_a, 0, np.nan).astype(np.float32)
    rows, columns = linear_sum_assignment(positive, maximize=True)
    assigned_pairs = positive[rows, columns] > 0
    rows, columns = rows[assigned_pairs], columns[assigned_pairs]
    assigned[living_rows[rows]], value[living_rows[rows]] = living_columns[columns], positive[rows, columns]
    return Matching(score, partner, back_score, back_partner, assigned, value)


def _best(
    scores: NDArray[np.float32], columns: NDArray[np.int64], rows: NDArray[np.int64], d: int
) -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """Largest score and its column for every row, spread out to all d latents."""
    score, partner = np.full(d, np.nan, np.float32), np.full(d, NONE, np.int32)
    score[rows] = 0
    if scores.size:
        best = scores.argmax(1)
        score[rows] = scores[np.arange(len(best)), best]
        partner[rows] = np.where(score[rows] > 0, columns[best], NONE)
    return score, partner
