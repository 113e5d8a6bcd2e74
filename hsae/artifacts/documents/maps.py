"""maps.json: where latents of patches fire in the starter photographs on which they are strongest.

By layer `grid`, its rows and columns of patches, and `latents`, one per latent: by key of the photograph base64 of the
patches at which it fires (little-endian uint16, counted row by row) and then of its values there (uint8, 255 at the
strongest patch).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsae.artifacts.documents.reading import item, listed, within
from hsae.report.firing_maps import FiringMaps

_SIDE = 1024  # rows and columns, at most


def write_maps(layers: Mapping[str, FiringMaps]) -> dict[str, Any]:
    """Plain JSON of the maps by layer."""
    return {
        layer: {
            "grid": list(found.grid),
            "latents": [{key: _packed(values) for key, values in maps.items()} for maps in found.latents],
        }
        for layer, found in layers.items()
    }


def read_map(document: Mapping[str, Any] | None, layer: str, latent: int, key: str) -> NDArray[np.float32] | None:
    """Where a latent fires in a photograph, `[rows, columns]` in [0, 1]; None where that is not known."""
    grid, packed = within(document, layer, "grid"), item(within(document, layer, "latents"), latent)
    sides = [side for side in listed(grid) if type(side) is int and 0 < side <= _SIDE]
    text = within(packed, key)
    if len(sides) != 2 or sides != grid or not isinstance(text, str):
        return None
    values = _unpacked(text, sides[0] * sides[1])
    return None if values is None else values.reshape(sides)


def _packed(values: NDArray[np.uint8]) -> str:
    fires = np.flatnonzero(values)
    return base64.b64encode(fires.astype("<u2").tobytes() + values[fires].tobytes()).decode()


def _unpacked(text: str, n: int) -> NDArray[np.float32] | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    fires = np.frombuffer(raw[: 2 * (len(raw) // 3)], "<u2")
    if len(raw) % 3 or (fires >= n).any():
        return None
    values = np.zeros(n, dtype=np.float32)
    values[fires] = np.frombuffer(raw[2 * len(fires) :], np.uint8) / np.float32(255)
    return values
