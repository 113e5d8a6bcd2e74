"""segmentation.json: a linear head over the patches of a layer, with what it was measured to do.

`layer`, `classes`, `W`, `b`: logits = x W + b, `W` with a row per dimension of x; `counts`, `scores` and `suppression`:
artifacts/README.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hsae.errors import InputError
from hsae.steering.segmentation.head import NEEDED, PatchHead

_DIGITS = 6


def write_segmentation(head: PatchHead, measured: Mapping[str, Any]) -> dict[str, Any]:
    """Plain JSON of a head and its measures; weights to 6 digits."""
    rows = [[float(f"{value:.{_DIGITS}g}") for value in row] for row in [*head.W.tolist(), head.b.tolist()]]
    return {"classes": list(head.classes), "W": rows[:-1], "b": rows[-1], **measured}


def read_segmentation(document: Mapping[str, Any] | None) -> PatchHead | None:
    """The head in a document, None without one; InputError for anything that is none."""
    if document is None:
        return None
    missing = [name for name in ("W", "b", "classes") if name not in document]
    if missing:
        raise InputError(f"a head without {', '.join(missing)}", NEEDED)
    return PatchHead.from_arrays(document["W"], document["b"], document["classes"])
