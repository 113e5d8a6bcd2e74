"""What programs send as arguments, of any type: read, or refused in a sentence."""

from __future__ import annotations

import json
from typing import Any

from hsae.errors import InputError
from hsae.views.page.models import Model

_LONGEST_PLACE = 40_000  # characters: 4 096 patches


def read_layer(model: Model, layer: object) -> str:
    """A layer that the model has, the last one for an empty text."""
    layers, name = model.artifact.layers, read_text("layer", layer)
    if name and name not in layers:
        raise InputError(f"layer {name!r}", f"one of {', '.join(layers)}")
    return name or layers[-1]


def read_feature(model: Model, layer: object, latent: object) -> tuple[str, int]:
    """A layer, and a latent that it has."""
    name = read_layer(model, layer)
    return name, read_whole("latent", latent, range(len(model.latents(name))))


def read_count(top: object) -> int:
    """How many rows."""
    return read_whole("top", top, range(1, 1001))


def read_whole(name: str, value: object, among: range) -> int:
    """A whole number; 3.0 is one, for JSON does not tell them apart, True and "3" are none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value not in among:
        raise InputError(f"{name} {value!r}", f"a whole number from {among[0]} to {among[-1]}")
    return int(value)


def read_text(name: str, value: object) -> str:
    """A text; null is an empty one."""
    if value is not None and not isinstance(value, str):
        raise InputError(f"{name} {value!r}", "text")
    return value or ""


def read_switch(name: str, value: object) -> bool:
    """On or off; null is off."""
    if value is not None and not isinstance(value, bool):
        raise InputError(f"{name} {value!r}", "true or false")
    return bool(value)


def read_place(patches: object) -> list[tuple[int, int]] | None:
    """Patches (row, column) from the JSON text [[row, column], ...]; None for an empty one."""
    sent = read_text("patches", patches)
    if not sent:
        return None
    expected = "JSON text of patches by row and column, such as [[7, 8], [7, 9]]"
    try:
        found: Any = json.loads(sent) if len(sent) <= _LONGEST_PLACE else None
    except (ValueError, RecursionError) as error:
        raise InputError(f"patches {sent!r:.80}", expected) from error
    pairs = isinstance(found, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in found)
    if not pairs or not all(type(number) is int for pair in found for number in pair):
        raise InputError(f"patches {sent!r:.80}", expected)
    return [(row, column) for row, column in found]
