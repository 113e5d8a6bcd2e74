"""Emergence: the layer from which on a latent tells a WordNet node beyond chance.

A node *appears* at the first of two consecutive layers at which its best latent's AP gain has q < 0.05, after
Benjamini-Hochberg over all nodes and layers. Beside every summary stands that of the same latents over images dealt at
random, in all layers alike. The method is this project's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsae.hierarchy.lch import distinct_nodes
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.statistics import benjamini_hochberg, bootstrap_interval, spearman
from hsae.measures.wordnet.node_scores import NodeScores

ALPHA = 0.05

Rows = NDArray[np.float64]
Summary = dict[str, float | int | None]


@dataclass(frozen=True, eq=False)
class Emergence:
    """Where nodes appear over the layers."""

    table: pd.DataFrame
    """node, height, leaf_count, best_gain, appearance (layer number from 0, NaN for never), and random_appearance,
    that of the latents over images dealt at random."""
    summary: Summary
    """n_nodes, n_found, and Spearman's correlation of appearance and height: negative when coarse nodes come first.
    Since high nodes are large, a second correlation holds the number of classes fixed. None for fewer than 3 nodes."""
    random: Summary
    """The same over images dealt at random."""


def emergence(taxonomy: Taxonomy, layers: Sequence[NodeScores]) -> Emergence:
    """Layers at which each node of `distinct_nodes` appears, in the order given; none in a single layer."""
    nodes = distinct_nodes(taxonomy)
    table = pd.DataFrame(
        {
            "node": [taxonomy.nodes[p] for p in nodes],
            "height": taxonomy.heights[nodes],
            "leaf_count": taxonomy.leaf_counts[nodes],
            "best_gain": np.fmax.reduce([scores.best.gain for scores in layers]),
            "appearance": appearance(np.stack([scores.best.p for scores in layers])),
            "random_appearance": appearance(np.stack([scores.random.p for scores in layers])),
        }
    )
    tested = table[np.isfinite(table.best_gain)]
    return Emergence(table, _summary(tested, tested.appearance), _summary(tested, tested.random_appearance))


def appearance(p: Rows, alpha: float = ALPHA) -> Rows:
    """First of two consecutive layers with q < alpha, `[n_nodes]`, NaN for none, from p-values `[n_layers, n_nodes]`.

    q after Benjamini-Hochberg over all of them.
    """
    beyond = benjamini_hochberg(pd.Series(p.ravel())).to_numpy().reshape(p.shape) < alpha
    stays = beyond[:-1] & beyond[1:]
    return np.where(stays.any(axis=0), stays.argmax(axis=0), np.nan) if len(stays) else np.full(p.shape[1], np.nan)


def median_by_height(table: pd.DataFrame, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """height, n, median, low, high: median appearance of the n nodes of a height, 95 % bootstrap interval over them."""
    random = np.random.default_rng(seed)
    rows = []
    for height, group in table.dropna(subset="appearance").groupby("height"):
        values = group.appearance.to_numpy()
        low, high = bootstrap_interval(values, random, np.median, resamples)
        rows.append((int(height), len(values), float(np.median(values)), low, high))
    return pd.DataFrame(rows, columns=["height", "n", "median", "low", "high"])


def _summary(nodes: pd.DataFrame, layer: pd.Series) -> Summary:
    """layer: number of the layer at which each of the nodes appears."""
    appeared = nodes[layer.notna()]
    place, height, size = (
        layer.dropna().to_numpy(),
        appeared.height.to_numpy(float),
        appeared.leaf_count.to_numpy(float),
    )
    return {
        "n_nodes": len(nodes),
        "n_found": len(appeared),
        "spearman_appearance_height": spearman(place, height),
        "spearman_appearance_height_at_equal_size": _partial(place, height, size),
    }


def _partial(a: Rows, b: Rows, given: Rows) -> float | None:
    """Spearman's partial correlation of a and b given a third; None where one of the three is undefined."""
    ab, ac, bc = spearman(a, b), spearman(a, given), spearman(b, given)
    if ab is None or ac is None or bc is None or max(abs(ac), abs(bc)) >= 1:
        return None
    return (ab - ac * bc) / float(np.sqrt((1 - ac**2) * (1 - bc**2)))
