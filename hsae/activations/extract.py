"""Run a backbone over a data set once and store the activations of all chosen layers."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from hsae.activations.labels import Labels, read_labels, write_labels
from hsae.activations.loading import Batch, decoders, pixel_batches
from hsae.activations.store import (
    ActivationStore,
    Manifest,
    is_whole,
    read_manifest,
    shard_path,
    write_manifest,
    write_shard,
)
from hsae.atomic import sweep
from hsae.backbones.base import Backbone, Token
from hsae.data.samples import Samples
from hsae.data.stream import SampleStream
from hsae.errors import InputError, StoreError

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger("hsae.activations")

SHARD_BYTES = 256 * 2**20
"""A shard is built in memory; patch tokens of all layers take megabytes per image."""


def extract_activations(
    backbone: Backbone,
    samples: Samples | SampleStream,
    out_dir: Path | str,
    layers: Sequence[str] | Literal["all"] = "all",
    token: Token = "cls",
    *,
    batch_size: int = 32,
    shard_rows: int | None = None,
    dtype: torch.dtype = torch.float32,
    precision: torch.dtype = torch.float32,
    workers: int | None = None,
    accelerator: Accelerator | None = None,
    progress: bool = True,
) -> ActivationStore:
    """Write the activations of every chosen layer for every image to `out_dir`, from one forward pass each.

    Interrupted, it goes on at the first missing shard and ends with the same bytes (for the same batch_size). When only
    labels have changed since, it takes them over and runs no image again.
    precision: bfloat16 multiplies matrices in it (autocast), twice as fast where the hardware knows it; the activations
    then carry noise, up to 0.1 % of their variance for DINOv2-S. workers: threads that decode images while the backbone
    runs, by default what suits its device. With an `accelerator` every process writes its share of the shards (of a
    stream each reads all rows and decodes its own), and all wait for all. shard_rows: images per shard, by default up
    to 1024 as long as a shard stays under 256 MB. Raises StoreError when the folder holds something else or cannot be
    written, or no image is whole; InputError when there are no images.
    """
    folder = Path(out_dir)
    names = backbone.layer_names(layers)
    shapes = {name: shape_per_image(backbone, name, token) for name in names}
    if shard_rows is None:
        shard_rows = _rows_that_fit(shapes, dtype)
    if min(samples.expected or 1, batch_size, shard_rows) < 1 or samples.n_rows == 0:
        got = f"{samples.expected} images of {samples.name}, batch_size {batch_size}, shard_rows {shard_rows}"
        raise InputError(got, "at least one of each")
    workers = decoders(workers, backbone.device)
    rank, of = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    with accelerator.main_process_first() if accelerator else nullcontext():
        if rank == 0:
            sweep(folder)
        manifest = _claim(folder, describe_activations(backbone, samples, names, token, shard_rows, dtype, precision))
    total, hidden = samples.expected if of == 1 else None, not progress or rank > 0
    with tqdm(total=total, unit="image", desc=f"activations {folder.name}", disable=hidden) as bar:
        for number in _missing(folder, manifest, rank, of, bar):
            rows = manifest.shard_range(number)
            buffers = {name: torch.empty(len(rows), *shape, dtype=dtype) for name, shape in shapes.items()}
            batches = pixel_batches(backbone, samples, rows, batch_size, workers)
            with multiplying(backbone, precision):
                content = _fill(buffers, batches, backbone, token, bar)
            if samples.n_rows is not None and samples.n_rows <= rows.start:
                break
            write_shard(shard_path(folder, number), *content)
    return _finished(folder, manifest, samples, accelerator)


def _missing(folder: Path, manifest: Manifest, rank: int, of: int, bar: tqdm) -> Iterator[int]:
    """This process's shards that are not there yet; without end while nobody knows how many rows there are."""
    for number in count(rank, of) if manifest.n_shards is None else range(rank, manifest.n_shards, of):
        path = shard_path(folder, number)
        if is_whole(path):
            bar.update(len(manifest.shard_range(number)))
            continue
        if path.exists():
            log.warning("%s is cut off and is made again", path)
        yield number


def _finished(
    folder: Path, manifest: Manifest, samples: Samples | SampleStream, accelerator: Accelerator | None
) -> ActivationStore:
    """The store, once all processes have written their shards and the end of a stream and its labels are put down."""
    if accelerator:
        accelerator.wait_for_everyone()
    if accelerator is None or accelerator.is_main_process:
        if manifest.n_rows is None and samples.n_rows is not None:
            write_manifest(folder, manifest.ended(samples.n_rows))
        _mend_labels(folder, samples)
    if accelerator:
        accelerator.wait_for_everyone()
    store = ActivationStore(folder)
    if len(store) == 0:
        raise StoreError(
            f"None of the {store.manifest.n_rows} images of {samples.name} is whole", "at least one that is"
        )
    return store


def describe_activations(
    backbone: Backbone,
    samples: Samples | SampleStream,
    layers: Sequence[str],
    token: Token,
    shard_rows: int,
    dtype: torch.dtype,
    precision: torch.dtype,
) -> Manifest:
    """The manifest of what a backbone makes of a data set."""
    return Manifest(
        backbone=describe_backbone(backbone),
        token=token,
        layers={name: backbone.layers[name].d_in for name in layers},
        dataset={
            "id": samples.name,
            "images": samples.images_fingerprint,
            "fingerprint": samples.fingerprint,
            "labelling": samples.labelling,
            "n_rows": samples.n_rows,
            "classes": list(samples.classes),
        },
        shard_rows=shard_rows,
        dtype=str(dtype).removeprefix("torch."),
        precision=str(precision).removeprefix("torch."),
    )


def multiplying(backbone: Backbone, precision: torch.dtype) -> torch.autocast:
    """Inside, the backbone multiplies matrices in `precision`; sums between blocks stay in its own dtype."""
    return torch.autocast(backbone.device.type, precision, enabled=precision != torch.float32)


def describe_backbone(backbone: Backbone) -> dict[str, str | int | None]:
    """What a store or artifact records of its backbone."""
    return {
        "id": backbone.id,
        "revision": backbone.revision,
        "weights_sha256": backbone.fingerprint,
        "image_size": backbone.preprocessing.image_size,
    }


def shape_per_image(backbone: Backbone, layer: str, token: Token) -> torch.Size:
    """Tokens and width that `select_token` keeps of one image."""
    spec, size = backbone.layers[layer], backbone.preprocessing.image_size
    n_tokens = spec.n_prefix + math.prod(backbone.grid(layer, size, size))
    return backbone.select_token(torch.empty(1, n_tokens, spec.d_in, device="meta"), layer, token).shape[1:]


def _rows_that_fit(shapes: dict[str, torch.Size], dtype: torch.dtype) -> int:
    return min(1024, max(1, SHARD_BYTES // (sum(map(math.prod, shapes.values())) * dtype.itemsize)))


def _claim(folder: Path, manifest: Manifest) -> Manifest:
    """Make `folder` this store's, or check that it already is; the manifest that is there then."""
    if not (folder / "manifest.json").exists():
        # Hidden files may stay behind when the very first write is killed.
        if folder.exists() and not all(path.name.startswith(".") for path in folder.iterdir()):
            raise StoreError(f"{folder} is not empty", "an empty folder or this store", "Choose another folder.")
        write_manifest(folder, manifest)
        return manifest
    there = read_manifest(folder)
    different = there.differences(manifest)
    if different:
        raise StoreError(
            f"{folder} holds other activations: different {', '.join(different)}",
            "the same backbone, data set, layers and settings",
            "Choose another folder, or delete this one.",
        )
    if there.dataset.get("labelling") not in (None, "", manifest.dataset["labelling"]):
        there = there.of_several_labellings()
        write_manifest(folder, there)
    return there


def _mend_labels(folder: Path, samples: Samples | SampleStream) -> None:
    """Give a finished store the labels that its images have by now; its activations stay as they are."""
    store, mended = ActivationStore(folder), read_labels(folder)
    labelling = mended.labelling if mended else store.manifest.dataset.get("labelling")
    if labelling in (None, samples.labelling):  # None: an older version's, whose labels were checked with its images
        return
    labels = samples.labels_at(store.rows.tolist())
    values = torch.tensor([-1 if label is None else label for label in labels], dtype=torch.int64)
    write_labels(folder, Labels(samples.classes, values, samples.labelling))


@torch.inference_mode()
def _fill(
    buffers: dict[str, Tensor], batches: Iterator[Batch], backbone: Backbone, token: Token, bar: tqdm
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Activations, rows and labels of the whole images; `buffers` are filled from the front."""
    kept: list[int] = []
    labels: list[int] = []
    for batch, pixels in batches:
        activations = backbone.run_pixels(pixels.to(backbone.device, backbone.dtype), tuple(buffers))
        for name, buffer in buffers.items():
            buffer[len(kept) : len(kept) + len(batch)] = backbone.select_token(activations[name], name, token)
        kept += [row for row, _ in batch]
        labels += [-1 if sample.label is None else sample.label for _, sample in batch]
        bar.update(len(batch))
    filled = {name: buffer[: len(kept)] for name, buffer in buffers.items()}
    return filled, torch.tensor(kept, dtype=torch.int64), torch.tensor(labels, dtype=torch.int64)
