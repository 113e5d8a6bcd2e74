"""How documents from strangers are read: what does not fit is as if it were not there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd


def within(value: Any, *keys: str) -> Any:
    """What lies under the keys, one inside the other; None where there is no such thing."""
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def listed(value: Any) -> list[Any]:
    """The value if it is a list, else an empty one."""
    return value if isinstance(value, list) else []


def item(values: Any, at: int) -> Any:
    """The element of a list at a place; None where there is none."""
    values = listed(values)
    return values[at] if 0 <= at < len(values) else None


def real(value: Any) -> float | None:
    """The value as a float if it is a number (no bool)."""
    return float(value) if type(value) in (int, float) else None


def share(value: Any) -> float | None:
    """The value as a float if it is a number in [0, 1]."""
    number = real(value)
    return number if number is not None and 0 <= number <= 1 else None


def place(value: Any, n: int) -> int | None:
    """The value if it is a whole number from 0 to n - 1, such as a latent's."""
    return value if type(value) is int and 0 <= value < n else None


def read_table(value: Any) -> pd.DataFrame:
    """What `measures.plain.columns_and_rows` wrote; empty where rows and columns do not fit together."""
    columns, rows = listed(within(value, "columns")), listed(within(value, "rows"))
    named = all(isinstance(name, str) for name in columns) and len(set(columns)) == len(columns)
    fit = named and bool(columns) and all(isinstance(row, list) and len(row) == len(columns) for row in rows)
    return pd.DataFrame(rows if fit else [], columns=columns if named else [])
