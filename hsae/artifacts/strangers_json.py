"""JSON from strangers: bounded in size and depth, without duplicate keys, unprintable text or numbers that are none."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TypeGuard

from hsae.artifacts.defects import broken, require

MAX_DEPTH = 32
MAX_INTEGER = 2**53  # beyond it, other JSON readers lose digits
MAX_TEXT = 10_000  # characters of one string


def read_document(path: Path, where: str, limit: int) -> Any:
    """The JSON value in `path`, a file of at most `limit` bytes; what is in it is for `check_plain` to judge."""
    size = path.stat().st_size
    require(size <= limit, where, f"{size} bytes", f"at most {limit}")
    try:
        return json.loads(path.read_bytes().decode("utf-8"), object_pairs_hook=_unique)
    except RecursionError:
        raise broken(where, "nested too deeply", f"at most {MAX_DEPTH} levels") from None
    except ValueError as error:  # also what bad UTF-8, duplicate keys and endless integers raise
        raise broken(where, f"not readable as JSON ({error})", "JSON in UTF-8 with unique keys") from error


def check_plain(value: Any, where: str, depth: int = 0) -> None:
    """Refuse what JSON cannot hold exactly (NaN, infinity, other types) and text that is not printable."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not is_text(key):
                raise broken(where, f"the key {key!r:.80}", "printable text as keys")
            check_plain(item, where, depth + 1)
    elif isinstance(value, list | tuple):
        for item in value:
            check_plain(item, where, depth + 1)
    elif not (value is None or isinstance(value, bool) or is_number(value) or is_text(value)):
        raise broken(where, f"{value!r:.80}", f"finite numbers, at most {MAX_TEXT} printable characters, or null")
    if depth > MAX_DEPTH:
        raise broken(where, "nested too deeply", f"at most {MAX_DEPTH} levels")


def is_text(value: object, limit: int = MAX_TEXT) -> bool:
    """Whether `value` is a printable string: no control, direction, surrogate or line-break characters."""
    return isinstance(value, str) and len(value) <= limit and value.isprintable()


def is_number(value: object) -> bool:
    """Whether `value` is a finite float or an integer that every JSON reader keeps exact."""
    return is_count(abs(value)) if isinstance(value, int) else isinstance(value, float) and math.isfinite(value)


def is_count(value: object, low: int = 0, high: int = MAX_INTEGER) -> TypeGuard[int]:
    """Whether `value` is an integer (no bool) in [low, high]."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key appears twice")
    return members
