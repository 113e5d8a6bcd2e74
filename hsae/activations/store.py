"""Activations on disk: safetensors shards with all layers side by side, and a manifest that says what they are.

    manifest.json            schema, hsae version, backbone, token, layers, dataset, shard_rows, shards (number)
    shard_00000.safetensors  one tensor `[images, tokens, d_in]` per layer, `row` and `label` `[images]` (label -1: none)

Shard i holds the data set's rows i*shard_rows .. (i+1)*shard_rows - 1 without the broken ones. A shard appears only
when it is whole, so an interrupted extraction goes on where the shards end.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from hsae.atomic import atomic_path, write_json
from hsae.errors import StoreError
from hsae.version import __version__

SCHEMA = 1


@dataclass(frozen=True)
class Manifest:
    """Everything that decides a store's content; two stores with equal manifests hold the same activations."""

    backbone: dict[str, Any]
    """id, revision, weights_sha256, image_size."""
    token: str
    """cls, patch or mean."""
    layers: dict[str, int]
    """Width by layer name, in model order."""
    dataset: dict[str, Any]
    """id, fingerprint, n_rows, classes (wnids)."""
    shard_rows: int
    dtype: str
    schema: int = SCHEMA
    hsae_version: str = __version__

    @property
    def n_shards(self) -> int:
        return -(-self.dataset["n_rows"] // self.shard_rows)

    def differences(self, other: Manifest) -> list[str]:
        """Names of the fields in which another manifest describes other activations."""
        mine, theirs = asdict(self), asdict(other)
        return [f.name for f in fields(self) if f.name != "hsae_version" and mine[f.name] != theirs[f.name]]


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` of the store in `folder` lies."""
    return folder / f"shard_{number:05d}.safetensors"


def write_shard(path: Path, layers: dict[str, Tensor], rows: Tensor, labels: Tensor) -> None:
    """Write one shard atomically."""
    with atomic_path(path) as temporary:
        save_file({**layers, "row": rows, "label": labels}, temporary)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest atomically."""
    write_json(folder / "manifest.json", asdict(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read and check a store's manifest; StoreError when there is none or it is of another schema."""
    path = Path(folder) / "manifest.json"
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"No activation store in {folder}", "a folder with manifest.json", "Extract first.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}", "JSON", "Delete the store and extract again.") from error
    if not isinstance(stated, dict) or stated.get("schema") != SCHEMA:
        got = stated.get("schema") if isinstance(stated, dict) else type(stated).__name__
        raise StoreError(f"{path} has schema {got}", f"{SCHEMA}", "Extract again with this version.")
    known = {f.name for f in fields(Manifest)}
    if set(stated) != known:
        raise StoreError(f"{path} has the fields {sorted(stated)}", f"{sorted(known)}", "Extract again.")
    return Manifest(**stated)


class ActivationStore:
    """A finished store, read lazily: one layer and one shard at a time."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        missing = [n for n in range(self.manifest.n_shards) if not shard_path(self.folder, n).is_file()]
        if missing:
            raise StoreError(
                f"The store {folder} lacks {len(missing)} of {self.manifest.n_shards} shards, first {missing[0]}",
                "a finished extraction",
                "Run the extraction again: it goes on where it stopped.",
            )

    @property
    def layers(self) -> dict[str, int]:
        """Width by layer name, in model order."""
        return self.manifest.layers

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(self.manifest.dataset["classes"])

    @property
    def n_shards(self) -> int:
        return self.manifest.n_shards

    @cached_property
    def labels(self) -> Tensor:
        """Class index per image `[images]` int64, -1 for none."""
        return torch.cat([self._read(n, "label") for n in range(self.n_shards)])

    @cached_property
    def rows(self) -> Tensor:
        """Row in the data set per image `[images]` int64 (broken images leave gaps)."""
        return torch.cat([self._read(n, "row") for n in range(self.n_shards)])

    @cached_property
    def shard_tokens(self) -> list[int]:
        """Tokens (images x tokens per image) in each shard."""
        layer = next(iter(self.layers))
        return [self._shape(n, layer)[0] * self._shape(n, layer)[1] for n in range(self.n_shards)]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def n_tokens(self) -> int:
        return sum(self.shard_tokens)

    def shard(self, number: int, layer: str) -> Tensor:
        """Activations `[images, tokens, d_in]` of one shard, float32."""
        found = self._read(number, layer)
        if found.ndim != 3 or found.shape[-1] != self.layers[layer]:
            raise self._broken(number, f"{layer} has shape {tuple(found.shape)}")
        return found.float()

    def layer(self, layer: str) -> Tensor:
        """All activations of one layer `[images, tokens, d_in]`, float32."""
        if layer not in self.layers:
            raise StoreError(f"No layer {layer!r} in {self.folder}", f"one of {', '.join(self.layers)}")
        return torch.cat([self.shard(n, layer) for n in range(self.n_shards)])

    def _read(self, number: int, name: str) -> Tensor:
        try:
            with safe_open(shard_path(self.folder, number), "pt") as file:
                return file.get_tensor(name)
        except (SafetensorError, OSError) as error:
            raise self._broken(number, str(error)) from error

    def _shape(self, number: int, name: str) -> list[int]:
        try:
            with safe_open(shard_path(self.folder, number), "pt") as file:
                return file.get_slice(name).get_shape()
        except (SafetensorError, OSError) as error:
            raise self._broken(number, str(error)) from error

    def _broken(self, number: int, why: str) -> StoreError:
        path = shard_path(self.folder, number)
        return StoreError(f"{path} is damaged: {why}", "a whole shard", "Delete this file and run the extraction again.")
