"""safetensors of our own that say when they have rotted: the header carries the sha256 of every tensor.

    metadata "hsae"    JSON: {"stated": anything, "sha256": {tensor: hex, "stated": hex}}

One metadata entry, because safetensors writes several of them in any order, and the same content has the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from hsae.atomic import atomic_path

STATED = "stated"


def write_sealed(path: Path, tensors: dict[str, Tensor], stated: Mapping[str, Any] | None = None) -> None:
    """Write tensors (contiguous, none called "stated") and plain JSON atomically; WriteError when that cannot be."""
    text = json.dumps(stated or {})
    seals = {name: _sha256(tensor) for name, tensor in tensors.items()} | {STATED: _sha256_of_text(text)}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, {"hsae": json.dumps({STATED: text, "sha256": seals})})


def read_stated(file: safe_open) -> dict[str, Any]:
    """The JSON of an open file; ValueError when it is not what was written."""
    header = _header(file)
    if header is None:
        raise ValueError("no metadata")
    if _sha256_of_text(header[STATED]) != header["sha256"][STATED]:
        raise ValueError("its metadata has not the sha256 it was written with")
    return json.loads(header[STATED])


def read_tensor(file: safe_open, name: str) -> Tensor:
    """A whole tensor of an open file; ValueError when it is not what was written.

    Files without metadata, which versions before wrote, are taken as they are.
    """
    header, tensor = _header(file), file.get_tensor(name)
    if header is not None and _sha256(tensor) != header["sha256"].get(name):
        raise ValueError(f"{name} has not the sha256 it was written with")
    return tensor


def _header(file: safe_open) -> dict[str, Any] | None:
    metadata = file.metadata()
    if metadata is None:
        return None
    header = json.loads(metadata.get("hsae", "null"))
    known = isinstance(header, dict) and isinstance(header.get(STATED), str) and isinstance(header.get("sha256"), dict)
    if not known:
        raise ValueError("its metadata cannot be read")
    return header


def _sha256(tensor: Tensor) -> str:
    """Of type, shape and numbers."""
    digest = hashlib.sha256(f"{tensor.dtype} {list(tensor.shape)} ".encode())
    digest.update(tensor.detach().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _sha256_of_text(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
