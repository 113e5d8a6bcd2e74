"""Activations on disk: safetensors shards with all layers side by side, and a manifest that says what they are.

    manifest.json            schema, hsae version, backbone, token, layers, dataset, shard_rows, dtype, precision
    shard_00000.safetensors  a tensor `[images, tokens, d_in]` per layer, `row` and `label` `[images]` (-1: none)
                             with the sha256 of each in the header, which is checked when it is first read

    labels.safetensors       only where labels were mended since: those of all images (hsae.activations.labels)

Shard i holds the data set's rows i*shard_rows .. (i+1)*shard_rows - 1 without the broken ones. A shard appears only
when it is whole, so an interrupted extraction goes on where the shards end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hsae.activations.labels import LABELS, Labels, read_labels
from hsae.atomic import write_text
from hsae.errors import StoreError, WriteError
from hsae.tensor_files import read_tensor, write_sealed
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
    """id, images (their fingerprint), fingerprint (with labels), labelling (which labels the shards hold; "" for
    several), n_rows (None while a stream has not ended), classes (wnids)."""
    shard_rows: int
    dtype: str
    """Of the stored numbers."""
    precision: str = "float32"
    """What the backbone multiplied matrices in: float32, or bfloat16 for twice the speed."""
    schema: int = SCHEMA
    hsae_version: str = __version__

    @property
    def n_rows(self) -> int | None:
        return self.dataset["n_rows"]

    @property
    def n_shards(self) -> int | None:
        """None while a stream has not ended."""
        return None if self.n_rows is None else -(-self.n_rows // self.shard_rows)

    def shard_range(self, number: int) -> range:
        """The data set's rows that shard `number` covers, as far as its end is known."""
        start = number * self.shard_rows
        stop = start + self.shard_rows
        return range(start, stop if self.n_rows is None else min(stop, self.n_rows))

    def ended(self, n_rows: int) -> Manifest:
        """The same of a stream that has come to its end."""
        return replace(self, dataset=self.dataset | {"n_rows": n_rows})

    def of_several_labellings(self) -> Manifest:
        """The same once labels were mended: those in the shards are not to be trusted any more."""
        return replace(self, dataset=self.dataset | {"labelling": ""})

    @property
    def content(self) -> dict[str, Any]:
        """What decides the activations, as plain JSON: everything but the labels."""
        return asdict(self) | {"dataset": _images_of(self.dataset)}

    def differences(self, other: Manifest) -> list[str]:
        """Names of the fields in which another manifest describes other activations; an unknown n_rows equals any.

        Labels do not count, but in manifests of older versions, which cannot tell images from labels.
        """
        if other.n_rows is None and self.n_rows is not None:
            other = other.ended(self.n_rows)
        mine, theirs = self.content, other.content
        if "images" not in self.dataset:
            theirs["dataset"] = {name: other.dataset.get(name) for name in mine["dataset"]}
        return [f.name for f in fields(self) if f.name != "hsae_version" and mine[f.name] != theirs[f.name]]


def _images_of(dataset: dict[str, Any]) -> dict[str, Any]:
    """What tells the images of a data set; manifests of older versions have it mixed with the labels."""
    return {name: dataset.get(name) for name in ("id", "images", "n_rows")} if "images" in dataset else dataset


def shard_path(folder: Path, number: int) -> Path:
    """Where shard `number` of the store in `folder` lies."""
    return folder / f"shard_{number:05d}.safetensors"


def write_shard(path: Path, layers: dict[str, Tensor], rows: Tensor, labels: Tensor) -> None:
    """Write one shard atomically; StoreError when it cannot be written, and the shards before it stay."""
    try:
        write_sealed(path, {**layers, "row": rows, "label": labels})
    except WriteError as error:
        raise _unwritable(error) from error


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write the manifest atomically; StoreError when the folder cannot be written."""
    text = json.dumps(asdict(manifest), indent=1) + "\n"  # unsorted: the order of the layers has a meaning
    try:
        write_text(folder / "manifest.json", text)
    except WriteError as error:
        raise _unwritable(error) from error


def _unwritable(error: WriteError) -> StoreError:
    do = "Make room or choose another folder, and run the extraction again: it goes on where it stopped."
    return StoreError(error.got, error.expected, do)


def is_whole(path: Path) -> bool:
    """Whether a shard is there and as long as its header says; what is in it, reading checks."""
    try:
        with safe_open(path, "pt") as file:
            return bool(file.keys())
    except (SafetensorError, OSError):
        return False


def read_manifest(folder: Path) -> Manifest:
    """Read and check a store's manifest; StoreError when there is none or it is of another schema."""
    path = Path(folder) / "manifest.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"No activation store in {folder}", "a folder with manifest.json", "Extract first.") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise StoreError(f"{path} cannot be read: {error}", "JSON", "Delete the store and extract again.") from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        got = content.get("schema") if isinstance(content, dict) else type(content).__name__
        raise StoreError(f"{path} has schema {got}", f"{SCHEMA}", "Extract again with this version.")
    settings: dict[str, Any] = {"precision": "float32"} | content  # stores made before there was a choice
    defect = _defect(settings)
    if defect:
        raise StoreError(f"{path} has {defect}", "the manifest of an extraction", "Extract again into another folder.")
    return Manifest(**settings)


def _defect(content: dict[str, Any]) -> str | None:
    """What keeps a manifest of the right schema from being one, if anything."""
    known = {f.name for f in fields(Manifest)}
    if set(content) != known:
        return f"the fields {sorted(content)} instead of {sorted(known)}"
    layers, dataset = (content[key] if isinstance(content[key], dict) else {} for key in ("layers", "dataset"))
    if not layers or not all(_is_count(width) for width in layers.values()):
        return f"the layers {content['layers']!r}"
    n_rows = dataset.get("n_rows", 0)
    if not (n_rows is None or _is_count(n_rows)) or not isinstance(dataset.get("classes"), list):
        return f"the dataset {content['dataset']!r}"
    return None if _is_count(content["shard_rows"]) else f"shard_rows {content['shard_rows']!r}"


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


@dataclass(frozen=True)
class Part:
    """Where a store is one of several, each on a disk of its own, that processes train on together."""

    place: int
    """Of this process among those that read this store."""
    readers: int
    tokens: int
    """Of an epoch: as many as the smallest of the stores has."""
    images: int
    """In all stores."""


class ActivationStore:
    """A finished store, read lazily: one layer and one shard at a time."""

    part: Part | None = None
    """None: all processes read this one."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        self.manifest = read_manifest(self.folder)
        n_shards = self.manifest.n_shards
        if n_shards is None:
            do = "Run the extraction again: it goes on where it stopped."
            raise StoreError(f"The store {folder} ends before its stream", "a finished extraction", do)
        missing = [n for n in range(n_shards) if not shard_path(self.folder, n).is_file()]
        if missing:
            raise StoreError(
                f"The store {folder} lacks {len(missing)} of {n_shards} shards, first {missing[0]}",
                "a finished extraction",
                "Run the extraction again: it goes on where it stopped.",
            )
        self.n_shards = n_shards
        self._checked: set[tuple[int, str]] = set()

    @property
    def layers(self) -> dict[str, int]:
        """Width by layer name, in model order."""
        return self.manifest.layers

    @property
    def classes(self) -> tuple[str, ...]:
        """Sorted wnids, those of the mended labels where there are any."""
        return self._mended.classes if self._mended else tuple(self.manifest.dataset["classes"])

    @property
    def labelling(self) -> str | None:
        """Which labels the images have (`Samples.labelling`); None in stores of older versions."""
        return self._mended.labelling if self._mended else self.manifest.dataset.get("labelling")

    @cached_property
    def labels(self) -> Tensor:
        """Class index per image `[images]` int64, -1 for none."""
        if self._mended:
            return self._mended.values
        return torch.cat([self._read(n, "label") for n in range(self.n_shards)])

    @cached_property
    def _mended(self) -> Labels | None:
        mended, n_images = read_labels(self.folder), sum(images for images, _ in self.shard_shapes)
        if mended is None and self.manifest.dataset.get("labelling") == "":
            got = f"{self.folder} was left while its labels were exchanged"
            raise StoreError(got, "one label an image", "Run the extraction again, which will only write them.")
        if mended and len(mended.values) != n_images:
            got = f"{self.folder} has {len(mended.values)} labels for {n_images} images"
            do = f"Delete {LABELS} and run the extraction again, which will write it."
            raise StoreError(got, "one per image", do)
        return mended

    @cached_property
    def rows(self) -> Tensor:
        """Row in the data set per image `[images]` int64 (broken images leave gaps)."""
        return torch.cat([self._read(n, "row") for n in range(self.n_shards)])

    @cached_property
    def shard_shapes(self) -> list[tuple[int, int]]:
        """(images, tokens per image) of each shard."""
        layer = next(iter(self.layers))
        shapes = (self._shape(n, layer) for n in range(self.n_shards))
        return [(images, tokens) for images, tokens, _ in shapes]

    def __len__(self) -> int:
        """Number of images."""
        return sum(images for images, _ in self.shard_shapes)

    @property
    def n_tokens(self) -> int:
        return sum(images * tokens for images, tokens in self.shard_shapes)

    def shard(self, number: int, layer: str, images: slice = slice(None)) -> Tensor:
        """Activations `[images, tokens, d_in]` of one shard (or of some of its images), float32."""
        return self.stored(number, layer, images).float()

    def stored(self, number: int, layer: str, images: slice = slice(None)) -> Tensor:
        """The same in the precision in which they are stored."""
        self._require(layer)
        self._shape(number, layer)
        return self._read(number, layer, images)

    def layer(self, layer: str, images: Tensor | None = None) -> Tensor:
        """Activations of one layer `[images, tokens, d_in]`, float32; images: rising numbers of those wanted."""
        self._require(layer)
        tokens = max(tokens for _, tokens in self.shard_shapes)
        whole = torch.empty(len(self) if images is None else len(images), tokens, self.layers[layer])
        first = done = 0
        for number, (n_images, _) in enumerate(self.shard_shapes):
            part = self.shard(number, layer)
            if images is not None:
                part = part[images[(images >= first) & (images < first + n_images)] - first]
            whole[done : done + len(part)] = part  # not all parts first: that would need the memory twice
            first, done = first + n_images, done + len(part)
        return whole

    def _require(self, layer: str) -> None:
        if layer not in self.layers:
            raise StoreError(f"No layer {layer!r} in {self.folder}", f"one of {', '.join(self.layers)}")

    def _read(self, number: int, name: str, part: slice = slice(None)) -> Tensor:
        with self._opened(number) as file:
            if (number, name) in self._checked:
                return file.get_slice(name)[part]
            whole = read_tensor(file, name)
            self._checked.add((number, name))
            return whole if part == slice(None) else whole[part].clone()

    def _shape(self, number: int, layer: str) -> list[int]:
        with self._opened(number) as file:
            shape, images = file.get_slice(layer).get_shape(), file.get_slice("label").get_shape()
        if len(shape) != 3 or shape[:1] != images or shape[2] != self.layers[layer]:
            raise self._broken(number, f"{layer} has shape {shape} for {images} labels")
        return shape

    @contextmanager
    def _opened(self, number: int) -> Iterator[safe_open]:
        try:
            with safe_open(shard_path(self.folder, number), "pt") as file:
                yield file
        except (SafetensorError, OSError, ValueError) as error:
            raise self._broken(number, str(error)) from error

    def _broken(self, number: int, why: str) -> StoreError:
        path = shard_path(self.folder, number)
        return StoreError(
            f"{path} is damaged: {why}", "a whole shard", "Delete this file and run the extraction again."
        )
