"""How certain a NodeAP is: the same latents on test images that are drawn again, with replacement.

The draws depend on the number of images and the seed alone, so the draws of two sets of latents on the same images are
paired: the difference of two lists is the distribution of the difference.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsae.measures.wordnet.node_pairs import NodePairs
from hsae.measures.wordnet.nodes import LabelledScores, ranking

DRAWS = 100
Rows = NDArray[np.float64]


def resampled_node_ap(pairs: NodePairs, test: LabelledScores, draws: int = DRAWS, seed: int = 0) -> Rows:
    """NodeAP (mean AP gain over the pairs that have an image) on resampled test images, `[draws]`."""
    times = resampled_counts(len(test.labels), draws, seed)
    under = pairs.taxonomy.members[pairs.node][:, test.labels]
    columns = test.each(ranking, latents=pairs.latent)
    total, known = np.zeros(draws), np.zeros(draws)
    for members, ranked in zip(under, columns, strict=True):
        gain = _gains(members[ranked.order], ranked.ends, times[ranked.order])
        total += np.nan_to_num(gain)
        known += np.isfinite(gain)
    return total / np.maximum(known, 1)


def resampled_counts(n: int, draws: int, seed: int) -> NDArray[np.int32]:
    """How often each of n images is drawn, `[n, draws]`."""
    generator = np.random.default_rng(seed)
    counts = [np.bincount(generator.integers(n, size=n), minlength=n) for _ in range(draws)]
    return np.stack(counts, axis=1).astype(np.int32)


def _gains(hit: NDArray[np.bool_], ends: NDArray[np.int64], times: NDArray[np.int32]) -> Rows:
    """AP gain of one ranking on every resample; all arguments strongest image first, NaN without an image or other."""
    n, rows = len(hit), np.flatnonzero(hit)
    said = times.cumsum(axis=0, dtype=np.int32)[ends[rows] - 1]
    hits = times[rows].cumsum(axis=0, dtype=np.int32)
    positives = hits[-1].astype(float) if len(rows) else np.zeros(times.shape[1])
    hits = hits[np.searchsorted(rows, ends[rows]) - 1]  # equal scores count together
    with np.errstate(divide="ignore", invalid="ignore"):
        precision = np.where(said > 0, hits / said, 0)
        ap, share = (times[rows] * precision).sum(axis=0) / positives, positives / n
        return np.where((share > 0) & (share < 1), (ap - share) / (1 - share), np.nan)
