"""Features by height and coverage: the payload of the scatter, and the density of every layer beside it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from hsae.hierarchy import Taxonomy, wordnet
from hsae.report.figures import COVERAGE_BINS, random_density
from hsae.report.shown_names import name_nodes
from hsae.views.parts.charts import colours, short_layer
from hsae.views.parts.markup import attributes, esc

_CELL = (7, 5)  # width and height of one bin, in SVG units
_EXPECTED = 0.5  # chance is outlined where it puts at least this many features


def scatter_points(latents: pd.DataFrame) -> pd.DataFrame:
    """The latents that have a place in the hierarchy: two classes or more, tightest and best covered last."""
    multi = latents[(latents["n_classes"] > 1) & latents["lch_height"].notna() & latents["coverage"].notna()]
    return multi.sort_values(["coverage", "lch_height"], kind="stable")


def scatter_payload(latents: pd.DataFrame, selected: int | None) -> dict[str, Any]:
    """What scatter.js draws: points [latent, height, coverage, frequency, label, not by chance, lineage].

    words: for the axis, the node most latents meet at by height. "not by chance" is None where no null was measured.
    lineage: a row of `lineages`, the words of the node that it is named after and of all that is above it, for the
    search; by the older rule of the meeting point. Empty for a feature without a name.
    """
    table = scatter_points(latents)
    words = {
        str(int(height)): wordnet().name(nodes.mode().iloc[0])
        for height, nodes in table[table["lch"].notna()].groupby("lch_height")["lch"]
    }
    named_after = name_nodes(table, older="lch").where(lambda nodes: nodes.notna(), "")
    nodes = list(dict.fromkeys(named_after))
    points = [
        [
            int(row.Index),
            int(row.lch_height),
            round(float(row.coverage), 4),
            round(float(row.frequency), 5),
            str(row.label),
            None if np.isnan(row.q_value) else bool(row.q_value < 0.05),
            nodes.index(node),
        ]
        for row, node in zip(table.itertuples(), named_after, strict=True)
    ]
    return {"points": points, "words": words, "selected": selected, "lineages": [_lineage(node) for node in nodes]}


def _lineage(node: str) -> str:
    """Everything a visitor may call a node or what is above it, in lower case; empty for none."""
    if not node:
        return ""
    above = [*wordnet().lemmas(node), *(wordnet().name(up) for up in wordnet().ancestors(node))]
    return " · ".join(dict.fromkeys(above)).lower()


def densities(tables: Mapping[str, pd.DataFrame], taxonomy: Taxonomy) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Per layer the features and those expected of random class sets of the same sizes, both [heights, coverages]."""
    bins = np.arange(-0.5, taxonomy.heights.max() + 1.5)
    by_layer = {}
    for layer, table in tables.items():
        points = scatter_points(table)
        counts, _, _ = np.histogram2d(points["lch_height"], points["coverage"], (bins, COVERAGE_BINS))
        by_layer[layer] = counts, random_density(taxonomy, points["n_classes"].to_numpy(int), bins)
    return by_layer


def density_html(by_layer: Mapping[str, tuple[np.ndarray, np.ndarray]], selected: str) -> str:
    """Small multiples on one logarithmic scale of colour, a click on one chooses its layer; outlines: by chance."""
    most = max((counts.max() for counts, _ in by_layer.values()), default=0)
    if not most:
        return ""
    panels = "".join(_panel(layer, *by_layer[layer], most, layer == selected) for layer in by_layer)
    stops = ", ".join(f"rgb({r} {g} {b})" for r, g, b in (_shade(x) for x in np.linspace(0, 1, 7)))
    return (
        f'<h3>Where the features of every layer lie in WordNet</h3><div class="hsae-densities">{panels}</div>'
        f'<div class="hsae-scale narrow" style="background:linear-gradient(to right, {stops})"></div>'
        f'<div class="hsae-ends narrow"><span>1 feature</span><span>{most:.0f} in one cell</span></div>'
        '<p class="hsae-hint">height to the right, coverage upwards, the same colours in all layers (logarithmic);'
        " outlined: where random sets of as many classes would lie. Click a layer to go there.</p>"
    )


def _shade(share: float) -> Sequence[int]:
    return colours(np.array(0.2 + 0.75 * share), signed=False).tolist()


def _panel(layer: str, counts: np.ndarray, expected: np.ndarray, most: float, selected: bool) -> str:
    width, height = counts.shape[0] * _CELL[0], counts.shape[1] * _CELL[1]
    cells = "".join(
        _filled(at, level, float(counts[at, level]), most, counts.shape[1]) for at, level in np.argwhere(counts)
    )
    chance = "".join(_outline(at, level, counts.shape[1]) for at, level in np.argwhere(expected >= _EXPECTED))
    shown = f"layer {short_layer(layer)}: {counts.sum():.0f} features of two or more classes"
    return (
        f'<button type="button" class="hsae-pick" {attributes(("layer", layer))} aria-pressed="{str(selected).lower()}"'
        f' title="{esc(shown)}"><svg viewBox="0 0 {width} {height}" role="img" aria-label="{esc(shown)}">'
        f"{cells}{chance}</svg><span>{esc(short_layer(layer))} · {counts.sum():.0f}</span></button>"
    )


def _filled(at: int, level: int, count: float, most: float, rows: int) -> str:
    red, green, blue = _shade(math.log(count) / math.log(most) if most > 1 else 1.0)
    return f'<rect {_place(at, level, rows)} fill="rgb({red} {green} {blue})"/>'


def _outline(at: int, level: int, rows: int) -> str:
    return f'<rect {_place(at, level, rows)} class="chance"/>'


def _place(at: int, level: int, rows: int) -> str:
    width, height = _CELL
    return f'x="{at * width}" y="{(rows - 1 - level) * height}" width="{width}" height="{height}"'
