"""Numbers as short as they deserve, for documents that travel with an artifact."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def significant(value: Any, digits: int) -> Any:
    """Plain JSON with every float at that many significant digits; all else as it is."""
    if isinstance(value, Mapping):
        return {key: significant(item, digits) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [significant(item, digits) for item in value]
    return float(f"{value:.{digits}g}") if isinstance(value, float) else value
