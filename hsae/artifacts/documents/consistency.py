"""consistency.json: how hierarchical a model's layers are, beside those of others; fields in artifacts/README.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from hsae.artifacts.documents.reading import read_table, real, within
from hsae.measures.plain import columns_and_rows


@dataclass(frozen=True, eq=False)
class ModelConsistency:
    """What the document says of one model."""

    layers: Sequence[str]
    numbers: Mapping[str, Sequence[float | None]]
    """By column, one for each of `layers`."""


def write_consistency(model: str, layers: pd.DataFrame, conclusion: str, images: Mapping[str, Any]) -> dict[str, Any]:
    """Plain JSON; model: which of the table's models the artifact is; layers: `hsae.consistency.table.layer_table`."""
    return {"model": model, "conclusion": conclusion, "images": dict(images), **columns_and_rows(layers)}


def read_consistency(document: Mapping[str, Any] | None) -> dict[str, ModelConsistency]:
    """By name of the model, the artifact's own first; empty where there is none, or where it makes no sense."""
    table = read_table(document)
    if not {"model", "layer"} <= set(table.columns) or not table[["model", "layer"]].map(_is_name).all(axis=None):
        return {}
    own = within(document, "model")
    names = sorted(dict.fromkeys(table.model), key=lambda name: name != own)
    return {name: _of(table[table.model == name]) for name in names}


def _of(table: pd.DataFrame) -> ModelConsistency:
    columns = {name: [_number(value) for value in table[name]] for name in table if name not in ("model", "layer")}
    return ModelConsistency(table.layer.tolist(), columns)


def _number(value: Any) -> float | None:
    found = real(value)
    return None if found is None or found != found else found  # a table's missing number is NaN


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 500
