"""Seven checks that a tree of latents is a taxonomy. They are this project's own; none is taken from a paper."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.wordnet.tree import FeatureTree
from hsae.measures.wordnet.tree_scores import score_tree

Numbers = dict[str, float | int | bool | None]


def taxonomy_checks(tree: FeatureTree, z: csr_array, nodes: NDArray[np.int64], taxonomy: Taxonomy) -> Numbers:
    """The checks, over reduced edges p -> c of the tree made from `z [n_images, n_latents]`; None without an edge.

    containment     mean |A_p and A_c| / |A_c|
    strictness      median |A_p| / |A_c|
    meaning         share of edges whose parent's node is a proper ancestor of the child's
    exclusivity     1 - mean Jaccard of siblings
    exhaustiveness  mean share of a parent's images on which one of its children fires
    transitivity    share of p -> c -> g that are contained like an edge, p over g
    acyclic         whether no latent reaches itself
    """
    parent, child = tree.edges
    fired = (z > 0).astype(np.float64)
    return {
        "n_edges": len(parent),
        "n_roots": len(np.setdiff1d(parent, child)),
        "depth": _depth(tree),
        "containment": _mean(tree.containment()),
        "strictness": float(np.median(tree.sizes[parent] / tree.sizes[child])) if len(parent) else None,
        "meaning": score_tree(tree, nodes, taxonomy).precision,
        "exclusivity": _exclusivity(tree, fired),
        "exhaustiveness": _exhaustiveness(tree, fired),
        "transitivity": _transitivity(tree),
        "acyclic": bool((tree.reach.diagonal() == 0).all()),
    }


def _exclusivity(tree: FeatureTree, fired: csr_array) -> float | None:
    """1 - mean Jaccard over pairs of children of one parent, every parent counting the same."""
    means = []
    parent, child = tree.edges
    for one in np.unique(parent):
        children = child[parent == one]
        if len(children) > 1:
            columns = fired[:, children]
            shared = (columns.T @ columns).toarray()
            a, b = np.triu_indices(len(children), k=1)
            union = tree.sizes[children[a]] + tree.sizes[children[b]] - shared[a, b]
            means.append(1 - np.mean(shared[a, b] / union))
    return _mean(np.array(means))


def _exhaustiveness(tree: FeatureTree, fired: csr_array) -> float | None:
    parent, child = tree.edges
    edges = csr_array((np.ones(len(child)), (child, parent)), shape=tree.shared.shape)
    explained = ((fired @ edges > 0).multiply(fired)).sum(axis=0)
    parents = np.unique(parent)
    return _mean(explained[parents] / tree.sizes[parents])


def _transitivity(tree: FeatureTree) -> float | None:
    """Of the pairs two reduced edges apart, those that meet the rule of an edge themselves."""
    edges = (tree.reduced != 0).astype(np.int32)
    two_apart = edges @ edges != 0
    return float(two_apart.multiply(tree.shared != 0).sum() / two_apart.nnz) if two_apart.nnz else None


def _depth(tree: FeatureTree) -> int:
    """Edges on the longest path."""
    edges = (tree.reduced != 0).astype(np.int32)
    depth, front = 0, edges
    while front.nnz:
        depth, front = depth + 1, csr_array(front @ edges != 0).astype(np.int32)
    return depth


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
