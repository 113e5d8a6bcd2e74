"""scoreboard.json: SAE variants and baselines by the WordNet nodes they know; fields in artifacts/README.md."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hsae.artifacts.documents.reading import read_table
from hsae.measures.plain import columns_and_rows


def write_scoreboard(table: pd.DataFrame, images: Mapping[str, Any]) -> dict[str, Any]:
    """Plain JSON of a benchmark's table (`hsae.bench.table`); images: what it was measured on."""
    return {"images": dict(images), **columns_and_rows(table)}


def read_scoreboard(document: Mapping[str, Any] | None, layer: str) -> pd.DataFrame:
    """The rows of a layer; empty where there are none, or where rows and columns do not fit together."""
    table = read_table(document)
    if "layer" not in table:
        return table.iloc[:0]
    return table[table.layer == layer].reset_index(drop=True)
