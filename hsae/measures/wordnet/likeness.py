"""A control for appearance: coverage against synsets dealt at random among classes that look alike.

A latent for blue images beats the plain shuffle wherever WordNet keeps blue classes together. Here blue classes are
exchanged among each other only, so it has no advantage; a latent for a node of classes that look different keeps one.
Both the groups and the test are a reconstruction of this project's own [R].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from hsae.errors import InputError
from hsae.hierarchy.lch import lch_rows
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.statistics import benjamini_hochberg
from hsae.measures.wordnet.nulls import LayerNull

GROUP_SIZE = 10
"""Classes a group on average: with fewer, a pair of classes could hardly become another pair."""
UNKNOWN = -1
"""The group of classes of unknown looks."""
_STARTS, _STEPS = 10, 100


@dataclass(frozen=True, eq=False)
class LikenessTest:
    """Coverage against synsets dealt within groups of classes that look alike."""

    latents: pd.DataFrame
    """A row for every row of the selection: p_value = (1 + #{shuffles with as large a coverage}) / (shuffles + 1),
    q_value after Benjamini-Hochberg, log2_coverage = log2(coverage / mean over the shuffles); missing for fewer than 2
    classes."""
    layer: LayerNull | None
    """The layer's means under the same shuffles; None without a row of several classes."""


def likeness_groups(looks: NDArray[np.float64], size: int = GROUP_SIZE, seed: int = 0) -> NDArray[np.int64]:
    """Group `[n_classes]` of each class by k-means (k = n_classes / size, the best of 10 starts) on its looks.

    looks `[n_classes, n_features]`, one vector per class; every feature is first brought to mean 0 and variance 1.
    Classes without looks (NaN) are the group UNKNOWN.
    """
    groups = np.full(len(looks), UNKNOWN)
    complete = np.flatnonzero(np.isfinite(looks).all(axis=1))
    if len(complete):
        spread = looks[complete].std(axis=0)
        points = (looks[complete] - looks[complete].mean(axis=0)) / np.where(spread > 0, spread, 1)
        random = np.random.default_rng(seed)
        k = max(1, round(len(complete) / size))
        groups[complete] = min((_kmeans(points, k, random) for _ in range(_STARTS)), key=lambda fit: fit[1])[0]
    return groups


def likeness_permutation_test(
    taxonomy: Taxonomy, selected: np.ndarray, groups: NDArray[np.int64], shuffles: int = 1000, seed: int = 0
) -> LikenessTest:
    """Coverage of every row of `selected` (bool `[n, n_classes]`) against classes of the same looks.

    groups `[n_classes]` of classes that look alike. The hypothesis tested: among classes that look alike, it is chance
    which of them the latent fires for. Classes alone in their group never move, so small groups cost power; nor do
    those of the group UNKNOWN, of which nothing says that they look alike.
    """
    selected = np.asarray(selected)
    if np.shape(groups) != (len(taxonomy.classes),):
        raise InputError(f"groups of shape {np.shape(groups)}", f"[{len(taxonomy.classes)}], one for every class")
    table = pd.DataFrame(np.nan, index=range(len(selected)), columns=["p_value", "q_value", "log2_coverage"])
    multi = np.flatnonzero(selected.sum(axis=1) > 1)
    if not len(multi):
        return LikenessTest(table, None)
    rows, random = selected[multi], np.random.default_rng(seed)
    coverage, height = _measure(taxonomy, rows)
    as_large, total, means = np.zeros(len(rows)), np.zeros(len(rows)), []
    for _ in range(shuffles):
        dealt, dealt_height = _measure(taxonomy, rows[:, shuffle_within(groups, random)])
        as_large += dealt >= coverage
        total += dealt
        means.append((dealt.mean(), dealt_height.mean()))
    table.loc[multi, "p_value"] = (1 + as_large) / (1 + shuffles)
    table.loc[multi, "log2_coverage"] = np.log2(coverage * shuffles / total)
    table["q_value"] = benjamini_hochberg(table.p_value)
    random_coverage, random_height = np.array(means).T
    layer = LayerNull(float(coverage.mean()), float(height.mean()), random_coverage, random_height)
    return LikenessTest(table, layer)


def shuffle_within(groups: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
    """A random permutation of the classes that leaves each in its group, and those of UNKNOWN looks where they are."""
    groups = np.where(groups == UNKNOWN, groups.max(initial=UNKNOWN) + 1 + np.arange(len(groups)), groups)
    order = np.empty(len(groups), np.int64)
    order[np.argsort(groups, kind="stable")] = np.lexsort((random.random(len(groups)), groups))
    return order


def _measure(taxonomy: Taxonomy, rows: np.ndarray) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    lch = lch_rows(taxonomy, rows)
    return rows.sum(axis=1) / taxonomy.leaf_counts[lch], taxonomy.heights[lch]


def _kmeans(points: NDArray[np.float64], k: int, random: np.random.Generator) -> tuple[NDArray[np.int64], float]:
    """Lloyd's algorithm from k of the points; the groups, and the sum of squared distances to their means."""
    centres = points[random.choice(len(points), k, replace=False)]
    for _ in range(_STEPS):
        distance = cdist(points, centres, "sqeuclidean")
        groups = distance.argmin(axis=1)
        moved = np.stack([points[groups == g].mean(axis=0) if (groups == g).any() else centres[g] for g in range(k)])
        if np.array_equal(moved, centres):
            break
        centres = moved
    return groups, float(distance.min(axis=1).sum())
