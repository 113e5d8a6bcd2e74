"""Are classes far apart in a layer where they are far apart in WordNet?"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hsae.measures.statistics import AgainstNull, against_null
from hsae.measures.wordnet.class_means import shuffles


def cophenetic(distances: NDArray[np.float64], tree: NDArray[np.int64]) -> AgainstNull | None:
    """Spearman correlation over pairs of classes of their distance in a layer with that in a tree, in [-1, 1].

    Both `[n, n]` and symmetric; their diagonals are not read. Chance deals the classes out anew (Mantel's test, 1967).
    None for fewer than three pairs, or where all distances of one kind are equal.
    """
    pairs = np.triu_indices(len(distances), k=1)
    ours, theirs = (rankdata(values[pairs]) for values in (distances, tree))
    if len(ours) < 3 or np.ptp(ours) == 0 or np.ptp(theirs) == 0:
        return None
    ours, theirs = ((ranks - ranks.mean()) / ranks.std() for ranks in (ours, theirs))
    square = np.zeros(distances.shape)
    square[pairs] = ours
    square += square.T
    draws = [(square[np.ix_(order, order)][pairs] * theirs).mean() for order in shuffles(len(square))]
    return against_null((ours * theirs).mean(), np.array(draws))
