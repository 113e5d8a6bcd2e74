"""How well each layer's features tell the nodes of WordNet, by how general the nodes are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hsae.artifacts.documents.tree import read_gains
from hsae.views.parts.charts import line_chart

BANDS = {"single classes": (0, 0), "height 1 to 3": (1, 3), "height 4 and up": (4, 99)}
"""Nodes by height, ends included."""
MEASURES = {"ap_gain": "best feature", "chance": "best by chance", "probe_ap_gain": "a probe for the node"}
_ABOUT = (
    '<p class="hsae-hint">Of every node the best feature of the layer, chosen on other images: how well it ranks the'
    " node's images first (average precision, 1 = perfectly, 0 = by chance). Beside it what the best of as many"
    " features reaches when labels are dealt at random, and a linear probe trained for the node.</p>"
)


def nodes_html(tree: Mapping[str, Any], layers: Sequence[str], selected: str) -> str:
    """A chart a band; empty where the artifact has no such scores."""
    charts = [
        line_chart(f"Nodes of WordNet, {band}", layers, series, selected, top=1.0)
        for band, ends in BANDS.items()
        if (series := _series(tree, layers, ends))
    ]
    head = "<h3>How well features tell the nodes of WordNet</h3>"
    return f'{head}<div class="hsae-charts">{"".join(charts)}</div>{_ABOUT}' if charts else ""


def _series(tree: Mapping[str, Any], layers: Sequence[str], ends: tuple[int, int]) -> dict[str, list[float | None]]:
    """By measure its mean over the nodes of a band, layer by layer; only measures that some layer has."""
    by_measure = {
        words: [_mean([value for height, value in read_gains(tree, layer, name) if ends[0] <= height <= ends[1]])
                for layer in layers]
        for name, words in MEASURES.items()
    }  # fmt: skip
    return {words: means for words, means in by_measure.items() if any(mean is not None for mean in means)}


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
