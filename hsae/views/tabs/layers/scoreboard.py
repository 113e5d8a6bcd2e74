"""SAE variants and baselines side by side at a layer: how well each knows WordNet's nodes, and at what price."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hsae.artifacts.documents.scoreboard import read_scoreboard
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import bar, button, esc, number, percent, table


def _whole(value: float) -> str:
    """A count; – when unknown."""
    return "–" if pd.isna(value) else f"{value:.0f}"


_COLUMNS = {
    "n": ("directions", _whole),
    "l0": ("L0", number),
    "fvu": ("FVU", number),
    "dead": ("dead", percent),
    "node_ap": ("NodeAP", number),
    "owned_40": ("nodes owned", _whole),
    "n_named": ("named", _whole),
    "median_precision": ("names true in", percent),
    "first_true": ("first name true", percent),
    "first_bits": ("bits of it", number),
}
"""Columns of scoreboard.json, what each is called, and how it is written; those nobody has are left out."""
_ABOUT = (
    '<p class="hsae-hint">Every line is a set of directions at this layer, its own SAE or a baseline, all scored on the'
    " same test images. NodeAP: how well the best direction ranks the images of a WordNet node, mean over nodes (1 ="
    " perfectly, 0 = by chance). R: where that stands between random directions (0) and a probe trained for each node"
    " (1), with its 95 % interval. Nodes owned: told with a correlation of at least 0.4, each direction counted once."
    " Named, and names true in: as on a feature's page. Bits: how much the first name says of a photo, on average.</p>"
)


def scoreboard_html(document: Mapping[str, Any] | None, layers: Sequence[str], layer: str) -> str:
    """The table of a layer, the best R first; where it has none, which layers have; empty without a document."""
    if document is None:
        return ""
    rows = read_scoreboard(document, layer)
    head = "<h3>SAE variants and baselines</h3>"
    if not len(rows):
        others = [name for name in layers if len(read_scoreboard(document, name))]
        faces = "".join(button(short_layer(name), ("layer", name)) for name in others)
        return f"{head}<p>Measured at layer {faces}</p>" if faces else ""
    return f"{head}{_table(rows)}{_ABOUT}"


def _table(rows: pd.DataFrame) -> str:
    numbers = rows.apply(pd.to_numeric, errors="coerce")
    shown = [name for name in _COLUMNS if name in rows and numbers[name].notna().any()]
    order = numbers["R"].sort_values(ascending=False, na_position="last").index if "R" in rows else rows.index
    lines = [
        [esc(rows["name"][at] if "name" in rows else at), _recovered(numbers.loc[at])]
        + [_COLUMNS[name][1](float(numbers[name][at])) for name in shown]
        for at in order
    ]
    heads = ["directions of", "R", *(_COLUMNS[name][0] for name in shown)]
    return table("SAE variants and baselines at this layer", heads, lines, css="hsae-scores")


def _recovered(row: pd.Series) -> str:
    """R as a bar with its interval."""
    value, low, high = (float(row.get(name, float("nan"))) for name in ("R", "R_low", "R_high"))
    if pd.isna(value):
        return "–"
    beside = "" if pd.isna(low) or pd.isna(high) else f" <small>{_signed(low)} to {_signed(high)}</small>"
    return f"{bar(value)}{_signed(value)}{beside}"


def _signed(value: float) -> str:
    return f"{value:.2f}".replace("-", "−")
