"""Run a backbone over a data set once and store the activations of all chosen layers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from tqdm import tqdm

from hsae.activations.store import (
    ActivationStore,
    Manifest,
    read_manifest,
    shard_path,
    write_manifest,
    write_shard,
)
from hsae.backbones.base import Backbone, Token
from hsae.data.samples import Sample, Samples
from hsae.errors import InputError, StoreError

log = logging.getLogger(__name__)


def extract_activations(
    backbone: Backbone,
    samples: Samples,
    out_dir: Path | str,
    layers: Sequence[str] | Literal["all"] = "all",
    token: Token = "cls",
    *,
    batch_size: int = 32,
    shard_rows: int = 1024,
    dtype: torch.dtype = torch.float32,
    progress: bool = True,
) -> ActivationStore:
    """Write the activations of every chosen layer for every image to `out_dir`, from one forward pass each.

    Interrupted, it goes on at the first missing shard and ends with the same bytes. A folder that holds other
    activations raises StoreError; so does a data set without a single whole image.
    """
    folder = Path(out_dir)
    names = backbone.layer_names(layers)
    manifest = Manifest(
        backbone=describe_backbone(backbone),
        token=token,
        layers={name: backbone.layers[name].d_in for name in names},
        dataset={
            "id": samples.name,
            "fingerprint": samples.fingerprint,
            "n_rows": len(samples),
            "classes": list(samples.classes),
        },
        shard_rows=shard_rows,
        dtype=str(dtype).removeprefix("torch."),
    )
    if len(samples) == 0:
        raise InputError(f"The data set {samples.name} has no images", "at least one")
    _claim(folder, manifest)
    missing = [n for n in range(manifest.n_shards) if not shard_path(folder, n).is_file()]
    with tqdm(total=len(samples), unit="image", desc=f"activations {folder.name}", disable=not progress) as bar:
        bar.update(len(samples) - sum(len(_shard_rows(manifest, n)) for n in missing))
        for number in missing:
            content = _extract_shard(backbone, samples, _shard_rows(manifest, number), names, token, batch_size, bar)
            write_shard(shard_path(folder, number), *_with_dtype(content, dtype))
    store = ActivationStore(folder)
    if len(store) == 0:
        raise StoreError(f"None of the {len(samples)} images of {samples.name} could be read", "at least one whole image")
    return store


def describe_backbone(backbone: Backbone) -> dict[str, str | int | None]:
    """What a store or artifact records of its backbone."""
    return {
        "id": backbone.id,
        "revision": backbone.revision,
        "weights_sha256": backbone.fingerprint,
        "image_size": backbone.preprocessing.image_size,
    }


def _claim(folder: Path, manifest: Manifest) -> None:
    """Make `folder` this store's, or check that it already is."""
    if not (folder / "manifest.json").exists():
        if folder.is_dir() and any(folder.iterdir()):
            raise StoreError(f"{folder} is not empty", "an empty folder or an activation store", "Choose another folder.")
        write_manifest(folder, manifest)
        return
    different = read_manifest(folder).differences(manifest)
    if different:
        raise StoreError(
            f"{folder} holds other activations: different {', '.join(different)}",
            "the same backbone, data set, layers and settings",
            "Choose another folder, or delete this one.",
        )


def _shard_rows(manifest: Manifest, number: int) -> range:
    start = number * manifest.shard_rows
    return range(start, min(start + manifest.shard_rows, manifest.dataset["n_rows"]))


def _extract_shard(
    backbone: Backbone,
    samples: Samples,
    rows: range,
    layers: tuple[str, ...],
    token: Token,
    batch_size: int,
    bar: tqdm,
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    parts: dict[str, list[Tensor]] = {name: [] for name in layers}
    kept: list[int] = []
    labels: list[int] = []
    for batch, pixels in _prefetched(backbone, samples, rows, batch_size):
        found = _forward(backbone, pixels, layers)
        for name in layers:
            parts[name].append(backbone.select_token(found[name], name, token).cpu())
        kept += [row for row, _ in batch]
        labels += [-1 if sample.label is None else sample.label for _, sample in batch]
        bar.update(len(batch))
    empty = torch.empty(0, 1, 0)
    stacked = {n: torch.cat(p) if p else empty.expand(0, 1, backbone.layers[n].d_in) for n, p in parts.items()}
    return stacked, torch.tensor(kept, dtype=torch.int64), torch.tensor(labels, dtype=torch.int64)


@torch.inference_mode()
def _forward(backbone: Backbone, pixels: Tensor, layers: tuple[str, ...]) -> dict[str, Tensor]:
    return backbone.run_pixels(pixels.to(backbone.device, backbone.dtype), layers)


def _prefetched(
    backbone: Backbone, samples: Samples, rows: range, batch_size: int
) -> Iterator[tuple[list[tuple[int, Sample]], Tensor]]:
    """Batches of whole samples with their pixels, the next one being decoded while the caller works on this one."""
    whole = ((row, sample) for row, sample in samples.rows(rows.start, rows.stop) if sample is not None)

    def load() -> tuple[list[tuple[int, Sample]], Tensor] | None:
        batch = list(islice(whole, batch_size))
        return (batch, backbone.preprocessing([sample.image for _, sample in batch])) if batch else None

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(load)
        while (loaded := coming.result()) is not None:
            coming = pool.submit(load)
            yield loaded


def _with_dtype(
    content: tuple[dict[str, Tensor], Tensor, Tensor], dtype: torch.dtype
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    layers, rows, labels = content
    return {name: x.to(dtype).contiguous() for name, x in layers.items()}, rows, labels
