"""Is what a child adds to its parent perpendicular to the parent? After Park et al. (arXiv 2406.01506)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsae.measures.statistics import AgainstNull, against_null
from hsae.measures.wordnet.class_means import shuffles

Weights = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Families:
    """Children with the rest of their parent's classes: weights on class means `[families, n]`, rows summing to 1."""

    child: Weights
    parent: Weights


def families(groups: NDArray[np.bool_]) -> Families:
    """Every class set of `groups [n_groups, n]` with the smallest that holds more; each set of classes counts once.

    Sets of all classes are no parents. The parent's vector is the mean of its classes that are not the child's:
    else the differences of all children to it would cancel, and be perpendicular on average whatever the data.
    """
    sets = np.unique(groups[groups.any(axis=1)], axis=0)
    sizes = sets.sum(axis=1)
    inside = (sets.astype(int) @ sets.T.astype(int)) == sizes[:, None]  # [i, j]: i lies inside j
    larger = inside & (sizes[:, None] < sizes) & (sizes < sets.shape[1])
    has = larger.any(axis=1)
    smallest = np.where(larger, sizes, sizes.max() + 1).argmin(axis=1)
    child, rest = sets[has], sets[smallest[has]] & ~sets[has]
    return Families(*(part / part.sum(axis=1, keepdims=True) for part in (child, rest)))


def parent_alignment(products: NDArray[np.float64], tree: Families) -> AgainstNull | None:
    """Mean |cosine| of parent with child - parent, in [0, 1]: 0 where they are perpendicular.

    products `[n, n]`: inner products of the classes' means, less the mean of all. Unrelated vectors of equal length
    have .71; chance deals the classes out anew. None without a family.
    """
    if not len(tree.child):
        return None
    draws = [_alignment(products[np.ix_(order, order)], tree) for order in shuffles(len(products))]
    return against_null(_alignment(products, tree), np.array(draws), smaller=True)


def _alignment(products: NDArray[np.float64], tree: Families) -> float:
    at_parent = tree.parent @ products
    parent = (at_parent * tree.parent).sum(axis=1)
    both = (at_parent * tree.child).sum(axis=1)
    child = ((tree.child @ products) * tree.child).sum(axis=1)
    lengths = np.sqrt(np.maximum(parent * (child - 2 * both + parent), np.finfo(float).tiny))
    return float(np.abs((both - parent) / lengths).mean())
