"""Numbers as plain JSON with few digits, for documents, tables and responses of the app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


def finite(value: float) -> float | None:
    """The value, or None for NaN and infinity, which JSON cannot hold."""
    return value if np.isfinite(value) else None


def significant(value: Any, digits: int) -> Any:
    """Plain JSON with every float at that many significant digits; all else as it is."""
    return _floats(value, lambda number: float(f"{number:.{digits}g}"))


def rounded(value: Any, decimals: int = 4) -> Any:
    """Plain JSON, from arrays too, with at most that many decimals; None for NaN and infinity."""
    return _floats(value, lambda number: finite(round(number, decimals)))


def median(values: np.ndarray) -> float | None:
    """Median of the values that are not NaN; None when there is none."""
    numbers = values[~np.isnan(values)]
    return float(np.median(numbers)) if numbers.size else None


def mean(values: np.ndarray) -> float | None:
    """Mean of the values; None when there is none."""
    return finite(float(np.mean(values))) if len(values) else None


def columns_and_rows(table: pd.DataFrame, decimals: int = 4) -> dict[str, Any]:
    """A table as {"columns": names, "rows": lists}, what is missing as null."""
    return {"columns": list(table.columns), "rows": [rounded(row, decimals) for row in _objects(table).tolist()]}


def records(table: pd.DataFrame, decimals: int = 4) -> list[dict[str, Any]]:
    """A table as one dict per row, what is missing as null."""
    return [dict(zip(table.columns, rounded(row, decimals), strict=True)) for row in _objects(table).tolist()]


def _objects(table: pd.DataFrame) -> np.ndarray:
    """The cells as Python objects, None where a value is missing."""
    return table.astype(object).where(table.notna(), None).to_numpy()


def _floats(value: Any, change: Any) -> Any:
    """The value with `change` applied to every float in it; numpy's numbers become Python's."""
    if isinstance(value, Mapping):
        return {key: _floats(item, change) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _floats(value.tolist(), change)
    if isinstance(value, list | tuple):
        return [_floats(item, change) for item in value]
    return change(value) if isinstance(value, float) else value
