"""Are the classes nearest to a class its kin in WordNet?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hsae.measures.statistics import AgainstNull, against_null
from hsae.measures.wordnet.class_means import shuffles

Groups = NDArray[np.bool_]


def neighbourhood_precision(distances: NDArray[np.float64], groups: Groups) -> AgainstNull | None:
    """Mean average precision of "is in a group with it" over the neighbours of every class, nearest first, in (0, 1].

    distances `[n, n]` between classes; groups `[n_groups, n]`, nested sets of classes such as those under WordNet
    nodes: those of two classes to half of all are looked at. For every class the mean over its groups, then the mean
    over classes that have one; 1 when all groups are balls around each of their classes. Chance deals the classes out
    anew; None without a group.
    """
    sizes = groups.sum(axis=1)
    groups = np.unique(groups[(sizes >= 2) & (sizes <= len(distances) / 2)], axis=0)
    if not len(groups):
        return None
    others = distances.astype(float).copy()
    np.fill_diagonal(others, -np.inf)
    neighbours = np.argsort(others, axis=1, kind="stable")[:, 1:]
    draws = [_mean_precision(neighbours, groups[:, order]) for order in shuffles(len(distances))]
    return against_null(_mean_precision(neighbours, groups), np.array(draws))


def _mean_precision(neighbours: NDArray[np.int64], groups: Groups) -> float:
    """neighbours `[n, n - 1]`, the nearest first."""
    rank = np.arange(1, neighbours.shape[1] + 1)
    means = []
    for column, order in enumerate(neighbours):
        own = groups[groups[:, column]][:, order]
        if len(own):
            hits = own.cumsum(axis=1)
            means.append(((own * hits / rank).sum(axis=1) / hits[:, -1]).mean())
    return float(np.mean(means))
