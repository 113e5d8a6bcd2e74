"""Tree of latents, a DAG: p -> c when c fires almost only where p does; from firing alone, without WordNet.

An edge p -> c means that the parent fires on nearly all images of the child (containment), on clearly more images than
the child does, far more often there than elsewhere (lift: a parent that fires everywhere contains everything), and more
often than by chance. The definition is this project's own; containment alone is what Tree SAE (arXiv 2605.07922) calls
S_cov.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.stats import hypergeom

from hsae.errors import InputError

_CHILDREN = 1024  # children counted at once


@dataclass(frozen=True, eq=False)
class EdgeRule:
    """What makes p -> c an edge; A_f are the images on which f fires, N all images."""

    containment: float = 0.9
    """|A_p and A_c| / |A_c| is at least this."""
    size_ratio: float = 1.5
    """|A_p| / |A_c| is at least this."""
    lift: float = 2.0
    """containment / (|A_p| / N) is at least this."""
    alpha: float = 0.01
    """Hypergeometric p-value times the number of pairs (Bonferroni) is below this."""

    def __post_init__(self) -> None:
        if not (0 < self.containment <= 1 and self.size_ratio > 1):
            raise InputError(f"{self}", "a containment in (0, 1] and a size ratio above 1, so that no cycle can be")


@dataclass(frozen=True, eq=False)
class FeatureTree:
    """Edges between latents, all of them and after transitive reduction; sizes fall along every edge: no cycles."""

    n_images: int
    sizes: NDArray[np.int64]
    """Images on which each latent fires, `[n_latents]`."""
    shared: csr_array
    """[p, c]: images on which both fire, stored where p -> c is an edge, `[n_latents, n_latents]`."""

    @cached_property
    def reach(self) -> csr_array:
        """[p, c] True where a path leads from p to c."""
        edges = _true(self.shared)
        reach, before = edges, -1
        while reach.nnz != before:
            before = reach.nnz
            reach = _true(reach + reach @ edges)
        return reach

    @cached_property
    def reduced(self) -> csr_array:
        """`shared` without the edges that a longer path replaces."""
        bridged = _true(_true(self.shared) @ self.reach)
        return csr_array(self.shared - self.shared.multiply(bridged))

    @property
    def edges(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Parents and children of the reduced edges, by parent, then child."""
        entries = _entries(self.reduced)
        return entries[0], entries[1]

    def stricter(self, containment: float) -> FeatureTree:
        """The same tree with only the edges that have at least this containment."""
        parent, child, shared = _entries(self.shared)
        kept = shared >= containment * self.sizes[child]
        edges = csr_array((shared[kept], (parent[kept], child[kept])), shape=self.shared.shape)
        return FeatureTree(self.n_images, self.sizes, edges)

    def containment(self) -> NDArray[np.float64]:
        """|A_p and A_c| / |A_c| of the reduced edges, in (0, 1]."""
        _, child, shared = _entries(self.reduced)
        return shared / self.sizes[child]

    def lift(self) -> NDArray[np.float64]:
        """Containment over the parent's frequency, of the reduced edges."""
        return self.containment() * self.n_images / self.sizes[self.edges[0]]


def feature_tree(z: csr_array, rule: EdgeRule | None = None) -> FeatureTree:
    """The tree of latents `z [n_images, n_latents]`, sparse and >= 0."""
    rule = rule or EdgeRule()
    fired = scipy.sparse.csc_array(z > 0).astype(np.int32)
    n_images, n_latents = fired.shape
    sizes = fired.sum(axis=0).astype(np.int64)
    ordered = np.sort(sizes[sizes > 0])
    n_pairs = int(np.searchsorted(ordered, ordered / rule.size_ratio, side="right").sum())
    edges = []
    for start in range(0, n_latents, _CHILDREN):
        counts = (fired[:, start : start + _CHILDREN].T @ fired).tocoo()
        child, parent, shared = (part.astype(np.int64) for part in (counts.row, counts.col, counts.data))
        child += start
        kept = _candidates(shared, sizes[parent], sizes[child], n_images, rule)
        p_value = hypergeom.sf(shared[kept] - 1, n_images, sizes[parent[kept]], sizes[child[kept]])
        kept = kept[p_value * n_pairs < rule.alpha]
        edges.append(np.stack([parent[kept], child[kept], shared[kept]]))
    parent, child, shared = np.concatenate(edges, axis=1) if edges else np.zeros((3, 0), np.int64)
    return FeatureTree(n_images, sizes, csr_array((shared, (parent, child)), shape=(n_latents, n_latents)))


def learned_tree(z: csr_array, parent: NDArray[np.int64]) -> FeatureTree:
    """The tree in which column c of `z [n_images, n]` stands under column `parent[c]`, below 0: under none.

    Only what fires together is an edge; a parent must not stand below its own child.
    """
    fired = scipy.sparse.csc_array(z > 0).astype(np.int64)
    child = np.flatnonzero(parent >= 0)
    shared = fired[:, parent[child]].multiply(fired[:, child]).sum(axis=0)
    edges = csr_array((shared, (parent[child], child)), shape=(z.shape[1], z.shape[1]))
    edges.eliminate_zeros()
    return FeatureTree(z.shape[0], fired.sum(axis=0), edges)


def _candidates(
    shared: NDArray[np.int64], parent: NDArray[np.int64], child: NDArray[np.int64], n: int, rule: EdgeRule
) -> NDArray[np.int64]:
    """Pairs that meet every part of the rule but significance."""
    contained = shared >= rule.containment * child
    larger = parent >= rule.size_ratio * child
    return np.flatnonzero(contained & larger & (shared * n >= rule.lift * parent * child))


def _entries(matrix: csr_array) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, columns and values of the entries that are not 0, by row, then column."""
    entries = csr_array(matrix).sorted_indices().tocoo()
    kept = entries.data != 0
    return tuple(part[kept].astype(np.int64) for part in (entries.row, entries.col, entries.data))


def _true(matrix: csr_array) -> csr_array:
    return csr_array(matrix != 0)
