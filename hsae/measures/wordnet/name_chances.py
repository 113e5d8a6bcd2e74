"""How likely is a name true of one image, given how strongly the latent speaks for it there?

chance = 1 / (1 + exp(-(slope x score + offset))), fitted for each latent to labelled images by the likelihood of Platt
(1999), whose targets are (P + 1) / (P + 2) for the P images under the node and 1 / (N - P + 2) for the other N - P: few
images then never make a name certain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from hsae.hierarchy.lch import MISSING
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.wordnet.nodes import LabelledScores

_STEPS = 100  # a handful are taken
_SIZES = (1.0, 0.5, 0.25, 0.1, 0.01, 0.001)  # of a step: the first at which the loss falls
_ROUNDING = 1e-10

Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Chances:
    """Of each latent `[n_latents]`; NaN where nothing was fitted."""

    slope: Rows
    """Log-odds per unit of the score."""
    offset: Rows


def fit_chances(taxonomy: Taxonomy, node: NDArray[np.int64], data: LabelledScores) -> Chances:
    """Fit the chance that an image is under each latent's node (a position, or MISSING) to its scores."""

    named = np.flatnonzero(node != MISSING)

    def fit(scores: NDArray[np.float32], of: int) -> tuple[float, float]:
        return _fit(scores.astype(float), taxonomy.members[of][data.labels])

    fitted = np.full((2, len(node)), np.nan)
    for latent, one in zip(named, data.each(fit, node[named], latents=named), strict=True):
        fitted[:, latent] = one
    return Chances(*fitted)


def chances(scores: Rows, slope: Rows, offset: Rows) -> Rows:
    """The chance of each name, in [0, 1], by the scores of an image `[n_latents]`; NaN where nothing was fitted."""
    return np.asarray(expit(slope * scores + offset))


def _fit(scores: Rows, under: NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset of one latent by Newton's method; a score that never varies has slope 0."""
    centre, spread = scores.mean(), scores.std() or 1.0
    read = np.stack([(scores - centre) / spread, np.ones_like(scores)])
    positives, n = under.sum(), len(under)
    target = np.where(under, (positives + 1) / (positives + 2), 1 / (n - positives + 2))

    def loss(weights: Rows) -> float:
        z = weights[0] * read[0] + weights[1]  # no product of matrices, which has threads of its own
        return float((np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z))) - target * z).mean())

    weights = np.array([0.0, logit(target.mean())])  # best where scores say nothing
    least = loss(weights)
    for _ in range(_STEPS):
        said = 0.5 + 0.5 * np.tanh((weights[0] * read[0] + weights[1]) / 2)
        curvature = np.einsum("ai,bi->ab", read * (said * (1 - said)), read) / n + _ROUNDING * np.eye(2)
        step = np.linalg.solve(curvature, np.einsum("ai,i->a", read, said - target) / n)
        tried = ((weights - size * step, loss(weights - size * step)) for size in _SIZES)
        before, (weights, least) = least, next((new for new in tried if new[1] < least), (weights, least))
        if before - least <= _ROUNDING * before:
            break
    slope, offset = weights
    return slope / spread, offset - slope * centre / spread
