"""top_images.json: which images move each latent most, by data-set row and starter key; never the images."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hsae.artifacts.defects import broken, require
from hsae.artifacts.index import TOP_IMAGES, Layer
from hsae.artifacts.strangers_json import is_count, is_number, is_text, read_document
from hsae.atomic import write_text

TopImages = list[dict[str, list[Any]]]
"""One entry per latent: {"dataset": [[row, activation], ...], "starter": [[key, activation], ...]}, strongest first."""

MAX_IMAGES = 64
_MAX_LATENT_BYTES = 2**14


def size_limit(layer: Layer) -> int:
    """Bytes a layer's list may take at most."""
    return min(2**16 + _MAX_LATENT_BYTES * layer.d_sae, 2**30)


def check_top_images(value: Any, layer: Layer) -> TopImages:
    """The list itself, when it has the form of `TopImages`."""
    where = layer.file(TOP_IMAGES)
    require(isinstance(value, list), where, f"a {type(value).__name__}", "a list")
    require(len(value) == layer.d_sae, where, f"{len(value)} entries", f"{layer.d_sae}, one per latent")
    for entry in value:
        if not (isinstance(entry, dict) and set(entry) == {"dataset", "starter"}):
            raise broken(where, f"the entry {entry!r:.80}", '{"dataset": [...], "starter": [...]}')
        _check_images(entry["dataset"], is_count, where, "[row, activation]")
        _check_images(entry["starter"], _is_key, where, "[starter key, activation]")
    return value


def strongest_photographs(value: TopImages) -> list[list[str]]:
    """Keys of the starter photographs of each latent, strongest first."""
    return [[key for key, _ in entry["starter"]] for entry in value]


def write_top_images(path: Path, value: TopImages) -> None:
    """Write one line per latent."""
    lines = (json.dumps(entry, sort_keys=True, separators=(",", ":"), allow_nan=False) for entry in value)
    write_text(path, "[\n" + ",\n".join(lines) + "\n]\n")


def read_top_images(path: Path, where: str, layer: Layer) -> Any:
    """The parsed file, not yet checked for its form."""
    return read_document(path, where, size_limit(layer))


def _check_images(images: Any, is_name: Callable[[object], bool], where: str, form: str) -> None:
    if not (isinstance(images, list | tuple) and len(images) <= MAX_IMAGES):
        raise broken(where, f"{images!r:.80}", f"at most {MAX_IMAGES} pairs {form}")
    last = math.inf
    for image in images:
        pair = isinstance(image, list | tuple) and len(image) == 2 and is_name(image[0]) and is_number(image[1])
        if not (pair and 0 <= image[1] <= last):
            raise broken(where, f"{image!r:.80}", f"{form}, falling and never negative")
        last = image[1]


def _is_key(value: object) -> bool:
    """Whether `value` names a starter image: printable, and safe to append to a folder."""
    return is_text(value, 200) and not any(part in ("", ".", "..") for part in str(value).replace("\\", "/").split("/"))
