"""Which concepts two compared models have, and both side by side in numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hsae.artifacts.documents.comparison import ComparisonReader
from hsae.hierarchy import wordnet
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import esc, named_node, number, table

_LISTED = 40


def concepts_html(reader: ComparisonReader) -> str:
    """Which WordNet nodes are a feature's concept in both models, and in only one, with the first layer of each."""
    rows = [row for row in reader.table("concepts") if row.get("node") in wordnet()]
    groups = {
        "Both": [row for row in rows if row.get("a_f1") is not None and row.get("b_f1") is not None],
        f"Only {reader.names[0]}": [row for row in rows if row.get("b_f1") is None],
        f"Only {reader.names[1]}": [row for row in rows if row.get("a_f1") is None],
    }
    counts = reader.counts()
    chance = f" By chance {number(counts['chance'])} would be in both." if "chance" in counts else ""
    folds = "".join(_group(name, concepts) for name, concepts in groups.items())
    return f'<h3>Concepts: what both have, and what only one has</h3><p class="hsae-hint">{chance}</p>{folds}'


def _group(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    general = sorted((row for row in rows if _count(row) > 1), key=_height)
    shown = general[:_LISTED]
    cells = [
        [
            named_node(row["node"]),
            str(_count(row)),
            *(_first(row.get(f"{side}_first"), row.get(f"{side}_f1")) for side in "ab"),
        ]
        for row in shown
    ]
    listed = table(name, ["node", "classes", "first model from layer", "second model from layer"], cells)
    classes = len(rows) - len(general)
    counts = f"{len(general)} nodes of two or more classes, {classes} single classes"
    return f"<details><summary>{esc(name)}: {counts}</summary>{listed}</details>"


def _count(row: Mapping[str, Any]) -> int:
    """Classes under the node."""
    return row["leaf_count"] if type(row.get("leaf_count")) is int else 0


def _height(row: Mapping[str, Any]) -> int:
    """For sorting: the highest first."""
    return -row["height"] if type(row.get("height")) is int else 0


def _first(layer: Any, f1: Any) -> str:
    return (
        f"{esc(short_layer(str(layer)))} (best F1 {number(f1 if isinstance(f1, float) else None)})"
        if layer is not None
        else "–"
    )


def side_by_side_html(reader: ComparisonReader) -> str:
    """The sparsity and naming of both models' features, one row per layer."""
    rows = reader.table("side_by_side")
    if not rows:
        return ""
    heads = list(rows[0])
    cells = [[esc(short_layer(v)) if isinstance(v, str) else esc(number(v)) for v in row.values()] for row in rows]
    listed = table("Both models by layer", [head.replace("_", " ") for head in heads], cells)
    return f"<details><summary>Both models side by side, as numbers</summary>{listed}</details>"
