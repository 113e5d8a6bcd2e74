"""tree.json: the trees of all layers, how well each layer knows each WordNet node, and where nodes emerge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import emergence, median_by_height
from hsae.report.parts import rounded
from hsae.report.tree import LayerStructure


def tree_document(taxonomy: Taxonomy, layers: Mapping[str, LayerStructure]) -> dict[str, Any]:
    """Plain JSON, layers in the order given.

    layers      by name: rule, latents [latent, images, node], edges [parent, child, containment, lift, soft absorption,
                the same matched by class] of the loosest tree; scores with null and checks by containment; absorption
    nodes       [wnid, height, leaf_count] of every class set of WordNet with several classes
    node_scores by layer: latent, f1, floor (shuffled synsets), probe_f1 (the ceiling), in the order of `nodes`
    emergence   appearance and emergence of every node (layer names, null for never), by_height, summary
    """
    found = emergence(taxonomy, [layer.nodes for layer in layers.values()])
    names, table = list(layers), found.table
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
            "summary": found.summary,
        },
    }
