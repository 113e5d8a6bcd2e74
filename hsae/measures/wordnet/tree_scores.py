"""Agreement of the tree of latents with WordNet: edges and paths against hypernyms, beside shuffled synsets.

`nodes [n_latents]` gives each latent's position in taxonomy.nodes, MISSING without one; take it from other images than
the tree's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse.csgraph import shortest_path

from hsae.hierarchy.lch import MISSING, lch_rows
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.statistics import spearman
from hsae.measures.wordnet.tree import FeatureTree

_SIZE_STEP = 1.25  # latents within this factor of each other are shuffled together
_MAX_LATENTS = 1000  # latents whose distances are compared

Nodes = NDArray[np.int64]


@dataclass(frozen=True)
class TreeScores:
    """Agreement of a feature tree with WordNet; None where there are no pairs to count."""

    n_edges: int
    """Reduced edges whose two latents both have a node."""
    precision: float | None
    """Share of them whose parent's node is a proper ancestor of the child's."""
    equal: float | None
    reversed: float | None
    unrelated: float | None
    recall: float | None
    """Share of WordNet's (ancestor, descendant) pairs, both the node of some latent, that a path of latents links."""
    distance_correlation: float | None
    """Spearman of the latents' distance in the tree, edges taken both ways, and the height where their nodes meet."""


def score_tree(tree: FeatureTree, nodes: Nodes, taxonomy: Taxonomy) -> TreeScores:
    """Scores of a tree whose latents stand for `nodes`."""
    relation = _relations(tree, nodes, taxonomy)
    shares = {name: float(np.mean(hits)) if len(hits) else None for name, hits in relation.items()}
    return TreeScores(
        n_edges=len(relation["precision"]),
        recall=path_recall(tree, nodes, taxonomy),
        distance_correlation=_distance_correlation(tree, nodes, taxonomy),
        **shares,
    )


def score_tree_with_null(
    tree: FeatureTree, nodes: Nodes, taxonomy: Taxonomy, shuffles: int = 200, seed: int = 0
) -> dict[str, float | int | None]:
    """The scores, and precision and recall with nodes shuffled among latents of equal size, as plain JSON.

    null_* is the mean over shuffles, null_*_high their 97.5 % quantile, p_* = (1 + #{as good}) / (shuffles + 1).
    """
    scores: dict[str, float | int | None] = asdict(score_tree(tree, nodes, taxonomy))
    random = np.random.default_rng(seed)
    shuffled = [_shuffle_nodes(nodes, tree.sizes, random) for _ in range(shuffles)]
    precisions = [_relations(tree, s, taxonomy)["precision"] for s in shuffled]
    null = {
        "precision": [float(np.mean(hits)) for hits in precisions if len(hits)],
        "recall": [recall for recall in path_recalls(tree, shuffled, taxonomy) if recall is not None],
    }
    for name, values in null.items():
        if values and scores[name] is not None:
            scores[f"null_{name}"] = float(np.mean(values))
            scores[f"null_{name}_high"] = float(np.quantile(values, 0.975))
            scores[f"p_{name}"] = (1 + int(np.sum(np.array(values) >= scores[name]))) / (1 + len(values))
    return scores


def _relations(tree: FeatureTree, nodes: Nodes, taxonomy: Taxonomy) -> dict[str, NDArray[np.bool_]]:
    """How the nodes of each reduced edge's ends lie to each other; edges with an end without a node are left out."""
    parent, child = (nodes[ends] for ends in tree.edges)
    both = (parent != MISSING) & (child != MISSING)
    parent, child = parent[both], child[both]
    above, below = taxonomy.ancestry[parent, child], taxonomy.ancestry[child, parent]
    same = parent == child
    return {"precision": above, "equal": same, "reversed": below, "unrelated": ~(above | below | same)}


def edge_precision(tree: FeatureTree, nodes: Nodes, taxonomy: Taxonomy) -> float | None:
    """`TreeScores.precision` alone."""
    hits = _relations(tree, nodes, taxonomy)["precision"]
    return float(hits.mean()) if len(hits) else None


def path_recall(tree: FeatureTree, nodes: Nodes, taxonomy: Taxonomy) -> float | None:
    """`TreeScores.recall` alone."""
    return path_recalls(tree, [nodes], taxonomy)[0]


def path_recalls(tree: FeatureTree, dealt: Sequence[Nodes], taxonomy: Taxonomy) -> list[float | None]:
    """`TreeScores.recall` when the same nodes are dealt to the latents in several ways."""
    present = np.unique(dealt[0][dealt[0] != MISSING])
    possible = int(taxonomy.ancestry[np.ix_(present, present)].sum())
    if not possible:
        return [None] * len(dealt)
    parent, child = tree.reach.nonzero()
    recalls: list[float | None] = []
    for nodes in dealt:
        above, below = nodes[parent], nodes[child]
        linked = (above != MISSING) & (below != MISSING) & taxonomy.ancestry[above, below]
        recalls.append(len(np.unique(np.stack([above, below])[:, linked], axis=1).T) / possible)
    return recalls


def _distance_correlation(tree: FeatureTree, nodes: Nodes, taxonomy: Taxonomy) -> float | None:
    """Over pairs in one component of the tree; only the 1000 latents with the most images when there are more."""
    linked = np.unique(np.concatenate(tree.edges))
    linked = linked[nodes[linked] != MISSING]
    linked = linked[np.argsort(-tree.sizes[linked], kind="stable")][:_MAX_LATENTS]
    distance = shortest_path((tree.reduced != 0).astype(float), directed=False, unweighted=True, indices=linked)
    a, b = np.triu_indices(len(linked), k=1)
    distance = distance[a, linked[b]] if len(a) else np.zeros(0)
    near = np.isfinite(distance)
    pairs = np.sort(np.stack([nodes[linked[a[near]]], nodes[linked[b[near]]]], axis=1), axis=1)
    distinct, which = np.unique(pairs, axis=0, return_inverse=True)
    meet = lch_rows(taxonomy, taxonomy.members[distinct[:, 0]] | taxonomy.members[distinct[:, 1]])
    return spearman(distance[near], taxonomy.heights[meet][which.ravel()].astype(float))


def _shuffle_nodes(nodes: Nodes, sizes: NDArray[np.int64], random: np.random.Generator) -> Nodes:
    """Nodes dealt anew among latents with a node and about the same number of images."""
    have = np.flatnonzero(nodes != MISSING)
    group = np.floor(np.log(np.maximum(sizes[have], 1)) / np.log(_SIZE_STEP))
    dealt = nodes.copy()
    # Both orders sort by group, one at random within it, so that every latent gets a node of its own group.
    dealt[have[np.argsort(group, kind="stable")]] = nodes[have[np.lexsort((random.random(len(have)), group))]]
    return dealt
