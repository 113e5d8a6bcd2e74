"""Read tree.json of an artifact from a stranger: what does not fit its layers is left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Edge = tuple[int, int, float]
"""Parent, child, and the share of the child's images on which the parent fires."""


def within(value: Any, *keys: str) -> Any:
    """What lies under the keys, one inside the other; None where there is no such thing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def listed(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def read_edges(tree: Mapping[str, Any], layer: str, n: int) -> list[Edge]:
    """The edges of a layer of `n` latents."""
    stated = within(tree, "layers", layer, "edges")
    return [(edge[0], edge[1], float(edge[2])) for edge in listed(stated) if _is_edge(edge, n)]


def read_node_scores(tree: Mapping[str, Any], node: str, sizes: Mapping[str, int]) -> dict[str, tuple[int, float]]:
    """By layer the latent that fits a WordNet node best and its F1, where it is above 0; sizes: latents by layer."""
    names = [row[0] for row in listed(within(tree, "nodes")) if isinstance(row, list) and row]
    found: dict[str, tuple[int, float]] = {}
    for layer, n in sizes.items() if node in names else ():
        scores = [listed(within(tree, "node_scores", layer, key)) for key in ("latent", "f1")]
        latent, f1 = (values[names.index(node)] if len(values) == len(names) else None for values in scores)
        if _is_latent(latent, n) and _is_share(f1) and f1 > 0:
            found[layer] = latent, float(f1)
    return found


def _is_latent(value: Any, n: int) -> bool:
    return type(value) is int and 0 <= value < n


def _is_share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1


def _is_edge(edge: Any, n: int) -> bool:
    return isinstance(edge, list) and len(edge) >= 3 and all(_is_latent(e, n) for e in edge[:2]) and _is_share(edge[2])
