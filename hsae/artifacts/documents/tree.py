"""tree.json: the trees of all layers, how well each layer knows each WordNet node, and where nodes emerge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hsae.artifacts.documents.reading import item, listed, place, share, within
from hsae.hierarchy import Taxonomy
from hsae.measures.plain import rounded
from hsae.measures.wordnet import emergence, median_by_height
from hsae.report.tree import LayerStructure

Edge = tuple[int, int, float]
"""Parent, child, and the share of the child's images on which the parent fires."""


def write_tree(taxonomy: Taxonomy, layers: Mapping[str, LayerStructure]) -> dict[str, Any]:
    """Plain JSON, layers in the order given.

    layers      by name: rule, latents [latent, images, node], edges [parent, child, containment, lift, soft absorption,
                the same matched by class] of the loosest tree; scores with null and checks by containment; absorption
    nodes       [wnid, height, leaf_count] of every class set of WordNet with several classes
    node_scores by layer: latent, f1, floor (shuffled synsets), probe_f1 (the ceiling), in the order of `nodes`
    emergence   appearance and emergence of every node (layer names, null for never), by_height, summary
    """
    emerged = emergence(taxonomy, [layer.nodes for layer in layers.values()])
    names, table = list(layers), emerged.table
    by_height = median_by_height(table)
    return {
        "layers": {name: layer.tree for name, layer in layers.items()},
        "nodes": [[row.node, int(row.height), int(row.leaf_count)] for row in table.itertuples()],
        "node_scores": {
            name: {
                "latent": layer.nodes.latent.tolist(),
                "f1": rounded(layer.nodes.f1),
                "floor": rounded(layer.nodes.floor),
                "probe_f1": rounded(layer.nodes.probe_f1),
            }
            for name, layer in layers.items()
        },
        "emergence": {
            "appearance": [None if at != at else names[int(at)] for at in table.appearance],
            "emergence": [None if at != at else names[int(at)] for at in table.emergence],
            "by_height": {"columns": list(by_height.columns), "rows": [rounded(row) for row in by_height.to_numpy()]},
            "summary": emerged.summary,
        },
    }


def read_edges(tree: Mapping[str, Any], layer: str, n: int) -> list[Edge]:
    """The edges of a layer of `n` latents."""
    edges = [(place(item(e, 0), n), place(item(e, 1), n), share(item(e, 2))) for e in _edges(tree, layer)]
    return [(a, b, c) for a, b, c in edges if a is not None and b is not None and c is not None]


def read_node_scores(tree: Mapping[str, Any], node: str, sizes: Mapping[str, int]) -> dict[str, tuple[int, float]]:
    """By layer the latent that fits a WordNet node best and its F1, where it is above 0; sizes: latents by layer."""
    names = [item(row, 0) for row in listed(within(tree, "nodes"))]
    scores: dict[str, tuple[int, float]] = {}
    for layer, n in sizes.items() if node in names else ():
        columns = [listed(within(tree, "node_scores", layer, key)) for key in ("latent", "f1")]
        latent, f1 = (values[names.index(node)] if len(values) == len(names) else None for values in columns)
        latent, f1 = place(latent, n), share(f1)
        if latent is not None and f1:
            scores[layer] = latent, f1
    return scores


def _edges(tree: Mapping[str, Any], layer: str) -> list[Any]:
    return listed(within(tree, "layers", layer, "edges"))
