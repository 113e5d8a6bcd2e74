"""A layer's tree of latents against WordNet, its absorption, and how well its latents stand for each node."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from hsae.hierarchy import distinct_nodes
from hsae.measures.plain import rounded
from hsae.measures.splits import halves
from hsae.measures.wordnet import (
    EdgeRule,
    FeatureTree,
    LabelledScores,
    NodeScores,
    feature_tree,
    hard_absorption,
    least_cosine,
    matched_soft_absorption,
    node_scores,
    score_tree_with_null,
    soft_absorption,
    taxonomy_checks,
)
from hsae.measures.wordnet.names import Detection, detect
from hsae.measures.wordnet.node_probes import NodeProbes, best_thresholds
from hsae.report.cascade import layer_cascade
from hsae.report.hierarchy import LabelledLatents, best_nodes

CONTAINMENTS = (0.5, 0.7, 0.9)
"""The binding rule is 0.9. Sparse codes rarely nest so strictly, so looser trees are scored beside it, and the loosest
is listed with the containment of every edge."""


@dataclass(frozen=True, eq=False)
class LayerStructure:
    """What a layer adds to the artifact's tree."""

    tree: dict[str, Any]
    """Plain JSON: rule, latents, edges of the loosest tree; scores with null and checks by containment; absorption;
    the learned tree."""
    nodes: NodeScores
    """For the emergence over layers."""


def layer_structure(
    data: LabelledLatents, scores: LabelledScores, x: Tensor, decoder: Tensor, probes: NodeProbes, tau: float
) -> LayerStructure:
    """Nodes and thresholds come from the first half of the images, edges and scores from the second.

    scores: pre-activations of the images of `data`; x `[n_images, d_in]`: their activations; decoder `[d_sae, d_in]`;
    probes of `distinct_nodes`.
    """
    taxonomy, first = data.taxonomy, halves(data.labels)
    probed, yes, truth = _probed(data, x, probes, first)
    by_node = node_scores(taxonomy, scores, probed.ap_gain)
    z, nodes = data.z[~first], best_nodes(data, tau)[0]
    tree = feature_tree(z, EdgeRule(min(CONTAINMENTS)))
    trees = {containment: tree.stricter(containment) for containment in CONTAINMENTS}
    soft, matched = soft_absorption(z, tree), matched_soft_absorption(z, tree, data.labels[~first])
    cosines = normalize(decoder, dim=-1) @ normalize(probes.W, dim=0)
    least = least_cosine(x.shape[1])
    hard = hard_absorption(z, cosines.numpy(), by_node.best.latent, yes, truth, least)
    return LayerStructure(
        tree={
            "rule": asdict(EdgeRule(min(CONTAINMENTS))),
            "n_images": tree.n_images,
            **_list_edges(tree, nodes, data, soft, matched),
            "scores": {str(c): score_tree_with_null(t, nodes, taxonomy) for c, t in trees.items()},
            "checks": {str(c): taxonomy_checks(t, z, nodes, taxonomy) for c, t in trees.items()},
            "cascade": layer_cascade(data, decoder, tau),
            "absorption": {
                "soft": _mean(soft),
                "soft_matched": _mean(matched),
                "hard": _mean(hard),
                "hard_least_cosine": least,
                "hard_nodes": int(np.isfinite(hard).sum()),
            },
        },
        nodes=by_node,
    )


def _probed(
    data: LabelledLatents, x: Tensor, probes: NodeProbes, first: NDArray[np.bool_]
) -> tuple[Detection, NDArray[np.bool_], NDArray[np.bool_]]:
    """How well the probes find their nodes; of the images beside the `first`, what they say and what is so,
    `[n_images, n_nodes]` each."""
    under = distinct_nodes(data.taxonomy)
    truth, read = data.taxonomy.members[under].T[data.labels], probes.scores(x).numpy()
    threshold = best_thresholds(read, truth, first)
    found = detect(data.taxonomy, under, threshold, LabelledScores(read, data.labels))
    return found, (read >= threshold)[~first], truth[~first]


def _list_edges(
    tree: FeatureTree, nodes: NDArray[np.int64], data: LabelledLatents, soft: np.ndarray, matched: np.ndarray
) -> dict[str, Any]:
    """Latents with an edge as [latent, images, node], edges as [parent, child, containment, lift, soft, matched]."""
    parent, child = tree.edges
    names = [data.taxonomy.nodes[p] if p >= 0 else None for p in nodes]
    columns = [tree.containment(), tree.lift(), soft, matched]
    numbers = np.stack(columns, axis=1) if len(parent) else np.zeros((0, 4))
    return {
        "latents": [[int(f), int(tree.sizes[f]), names[f]] for f in np.union1d(parent, child)],
        "edges": [[int(p), int(c), *rounded(row)] for p, c, row in zip(parent, child, numbers, strict=True)],
    }


def _mean(values: np.ndarray) -> float | None:
    numbers = values[np.isfinite(values)]
    return float(numbers.mean()) if numbers.size else None
