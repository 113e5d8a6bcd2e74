"""tree.json: the trees of all layers, how well a layer tells each WordNet node, and where nodes emerge."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hsae.artifacts.documents.reading import item, listed, place, real, share, within
from hsae.hierarchy import Taxonomy, wordnet
from hsae.measures.plain import rounded
from hsae.measures.wordnet import NodeScores, emergence, median_by_height
from hsae.report.tree import LayerStructure

Edge = tuple[int, int, float]
"""Parent, child, and the share of the child's images on which the parent fires."""

Concept = tuple[str | None, list[int]]
"""WordNet node of a learned concept, if it has one, and the latents under it, those that it explains best first."""


def write_tree(taxonomy: Taxonomy, layers: Mapping[str, LayerStructure]) -> dict[str, Any]:
    """Plain JSON, layers in the order given.

    layers      by name: rule, latents [latent, images, node], edges [parent, child, containment, lift, soft absorption,
                the same matched by class] of the loosest tree; scores with null and checks by containment; absorption;
                cascade: the tree of a cascaded SAE, fvu, concepts [images, node], edges [concept, latent, strength],
                scores with null
    nodes       [wnid, height, leaf_count] of every class set of WordNet
    node_scores by layer, in the order of `nodes`: latent, ap_gain, p, chance (mean of the best latent under permuted
                labels), probe_ap_gain (the ceiling); latent -1 and null for nodes that were not tested
    emergence   appearance of every node (layer names, null for never), by_height, summary; random: the same for latents
                over images dealt at random
    """
    emerged = emergence(taxonomy, [layer.nodes for layer in layers.values()])
    names, table = list(layers), emerged.table
    by_height = median_by_height(table)
    columns = (table.appearance, table.random_appearance)
    appearance, random = ([None if at != at else names[int(at)] for at in column] for column in columns)
    return {
        "layers": {name: layer.tree for name, layer in layers.items()},
        "nodes": [[row.node, int(row.height), int(row.leaf_count)] for row in table.itertuples()],
        "node_scores": {name: _node_scores(layer.nodes) for name, layer in layers.items()},
        "emergence": {
            "appearance": appearance,
            "by_height": {"columns": list(by_height.columns), "rows": [rounded(row) for row in by_height.to_numpy()]},
            "summary": emerged.summary,
            "random": {"appearance": random, "summary": emerged.random},
        },
    }


def _node_scores(nodes: NodeScores) -> dict[str, Any]:
    best = nodes.best
    numbers = {"ap_gain": best.gain, "p": best.p, "chance": nodes.chance, "probe_ap_gain": nodes.probe_gain}
    return {"latent": best.latent.tolist()} | {name: rounded(values) for name, values in numbers.items()}


def read_edges(tree: Mapping[str, Any], layer: str, n: int) -> list[Edge]:
    """The edges of a layer of `n` latents."""
    edges = [(place(item(e, 0), n), place(item(e, 1), n), share(item(e, 2))) for e in _edges(tree, layer)]
    return [(a, b, c) for a, b, c in edges if a is not None and b is not None and c is not None]


def read_concepts(tree: Mapping[str, Any], layer: str, n: int) -> list[Concept]:
    """The concepts of a layer of `n` latents that have any, the one with most latents first."""
    cascade = within(tree, "layers", layer, "cascade")
    nodes = [item(row, 1) for row in listed(within(cascade, "concepts"))]
    below: dict[int, list[tuple[float, int]]] = {}
    for edge in listed(within(cascade, "edges")):
        concept, latent, strength = place(item(edge, 0), len(nodes)), place(item(edge, 1), n), real(item(edge, 2))
        if concept is not None and latent is not None and strength is not None:
            below.setdefault(concept, []).append((-strength, latent))
    known = [node if isinstance(node, str) and node in wordnet() else None for node in nodes]
    concepts = [(known[concept], [latent for _, latent in sorted(latents)]) for concept, latents in below.items()]
    return sorted(concepts, key=lambda concept: -len(concept[1]))


def read_node_scores(tree: Mapping[str, Any], node: str, sizes: Mapping[str, int]) -> dict[str, tuple[int, float]]:
    """By layer the latent that tells a WordNet node best and its AP gain, where it is above 0; sizes: latents by layer.

    Documents from before the gain have the F1 of the latent that fires for the node best.
    """
    names = [item(row, 0) for row in listed(within(tree, "nodes"))]
    scores: dict[str, tuple[int, float]] = {}
    for layer, n in sizes.items() if node in names else ():
        by_name = within(tree, "node_scores", layer)
        columns = [
            listed(within(by_name, "latent")),
            listed(within(by_name, "ap_gain")) or listed(within(by_name, "f1")),
        ]
        latent, score = (values[names.index(node)] if len(values) == len(names) else None for values in columns)
        latent, score = place(latent, n), share(score)
        if latent is not None and score:
            scores[layer] = latent, score
    return scores


def read_gains(tree: Mapping[str, Any], layer: str, measure: str) -> list[tuple[float, float]]:
    """Height and a measure of every node at a layer: "ap_gain" of its best latent, "chance" or "probe_ap_gain"."""
    heights = [real(item(row, 1)) for row in listed(within(tree, "nodes"))]
    values = [real(value) for value in listed(within(tree, "node_scores", layer, measure))]
    if len(values) != len(heights):
        return []
    return [(h, v) for h, v in zip(heights, values, strict=True) if h is not None and v is not None]


def _edges(tree: Mapping[str, Any], layer: str) -> list[Any]:
    return listed(within(tree, "layers", layer, "edges"))
