"""Null distributions of height and coverage: the same statistics when synsets are dealt to the classes at random.

Random class sets meet *high* in WordNet, so height alone is no evidence; coverage against sets of the same size is.
Latents with no class or one class have no p-value: count them apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsae.errors import InputError
from hsae.hierarchy.lch import distinct_nodes, lch_rows
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.statistics import benjamini_hochberg


@dataclass(frozen=True, eq=False)
class SetNull:
    """LCHs of random sets of k classes."""

    k: int
    leaf_counts: NDArray[np.int32]
    """|L(LCH)| of every random set, sorted, `[permutations]`; their coverage is k / leaf_counts."""
    mean_height: float

    @property
    def mean_coverage(self) -> float:
        return float((self.k / self.leaf_counts).mean())

    def p_values(self, leaf_counts: NDArray[np.int64]) -> NDArray[np.float64]:
        """p = (1 + #{random coverage >= coverage}) / (permutations + 1) of sets of k classes with these |L(LCH)|."""
        as_tight = np.searchsorted(self.leaf_counts, leaf_counts, side="right")
        return (1 + as_tight) / (1 + len(self.leaf_counts))


def set_nulls(
    taxonomy: Taxonomy, sizes: Iterable[int], permutations: int = 10_000, seed: int = 0
) -> dict[int, SetNull]:
    """The null of every set size in `sizes`, by size; computed once per taxonomy, then cached.

    Dealing synsets to classes at random makes any set of k classes a random one, so a null depends on k only. One
    shuffle of all classes serves every size: its first k classes are the random set of size k.
    """
    wanted, n_classes = sorted(set(map(int, sizes))), len(taxonomy.classes)
    if wanted and not 1 <= wanted[0] <= wanted[-1] <= n_classes:
        raise InputError(f"sets of {wanted[0]} to {wanted[-1]} classes", f"1 to {n_classes}")
    if permutations < 1:
        raise InputError(f"{permutations} permutations", "at least 1")
    every = _every_null(taxonomy, permutations, seed) if wanted else ()
    return {k: every[k - 1] for k in wanted}


@lru_cache(maxsize=2)
def _every_null(taxonomy: Taxonomy, permutations: int, seed: int) -> tuple[SetNull, ...]:
    """The nulls of size 1, 2 ... up to all classes."""
    order = np.random.default_rng(seed).random((permutations, len(taxonomy.classes)), dtype=np.float32).argsort(axis=1)
    lch = lch_rows(taxonomy, np.eye(len(taxonomy.classes), dtype=bool))[order[:, 0]]
    nulls = [_set_null(taxonomy, 1, lch)]
    nodes = distinct_nodes(taxonomy, at_least=2)
    nodes_of_class = np.ascontiguousarray(taxonomy.members[nodes].T)
    holds = nodes_of_class[order[:, 0]]
    for k in range(2, len(taxonomy.classes) + 1):
        holds &= nodes_of_class[order[:, k - 1]]
        nulls.append(_set_null(taxonomy, k, nodes[holds.argmax(axis=1)]))  # nodes are sorted tightest first
    return tuple(nulls)


def _set_null(taxonomy: Taxonomy, k: int, lch: NDArray[np.int64]) -> SetNull:
    leaf_counts = np.sort(taxonomy.leaf_counts[lch].astype(np.int32))
    return SetNull(k, leaf_counts, float(taxonomy.heights[lch].mean()))


def label_permutation_test(
    taxonomy: Taxonomy, selected: np.ndarray, permutations: int = 10_000, seed: int = 0
) -> pd.DataFrame:
    """Is a latent's coverage more than chance for its number of classes? One row per row of `selected` (bool).

    p_value         (1 + #{random coverage >= coverage}) / (permutations + 1); missing for fewer than 2 classes
    q_value         after Benjamini-Hochberg over the rows that have a p-value
    lower_height    E[height | k] - height: how much lower in WordNet its classes meet than random ones
    log2_coverage   log2(coverage / E[coverage | k])
    """
    lch, k = lch_rows(taxonomy, selected), np.asarray(selected).sum(axis=1)
    leaf_counts, heights = taxonomy.leaf_counts[lch], taxonomy.heights[lch]
    table = pd.DataFrame(np.nan, index=range(len(k)), columns=["p_value", "q_value", "lower_height", "log2_coverage"])
    for size, null in set_nulls(taxonomy, k[k > 1], permutations, seed).items():
        rows = np.flatnonzero(k == size)
        table.loc[rows, "p_value"] = null.p_values(leaf_counts[rows])
        table.loc[rows, "lower_height"] = null.mean_height - heights[rows]
        table.loc[rows, "log2_coverage"] = np.log2(size / leaf_counts[rows] / null.mean_coverage)
    table["q_value"] = benjamini_hochberg(table.p_value)
    return table


@dataclass(frozen=True, eq=False)
class LayerNull:
    """Mean coverage and mean height over a layer's multi-class latents, as measured and under shuffled synsets."""

    coverage: float
    height: float
    random_coverage: NDArray[np.float64]
    """`[shuffles]`."""
    random_height: NDArray[np.float64]
    """`[shuffles]`."""

    @property
    def p_value(self) -> float:
        """(1 + #{shuffles with as large a mean coverage}) / (shuffles + 1)."""
        return float((1 + (self.random_coverage >= self.coverage).sum()) / (1 + len(self.random_coverage)))


def layer_permutation_test(
    taxonomy: Taxonomy, selected: np.ndarray, shuffles: int = 100, seed: int = 0
) -> LayerNull | None:
    """The whole layer against shuffled synsets, all latents under the same shuffle; None without a multi-class latent.

    Latents share classes, so the spread of a layer's mean is wider than that of independent sets.
    """
    rows = np.asarray(selected)[np.asarray(selected).sum(axis=1) > 1]
    if not len(rows):
        return None
    random = np.random.default_rng(seed)
    shuffled = [_means(taxonomy, rows[:, random.permutation(rows.shape[1])]) for _ in range(shuffles)]
    coverage, height = np.array(shuffled).reshape(-1, 2).T
    return LayerNull(*_means(taxonomy, rows), coverage, height)


def _means(taxonomy: Taxonomy, rows: np.ndarray) -> tuple[float, float]:
    lch = lch_rows(taxonomy, rows)
    return float((rows.sum(axis=1) / taxonomy.leaf_counts[lch]).mean()), float(taxonomy.heights[lch].mean())
