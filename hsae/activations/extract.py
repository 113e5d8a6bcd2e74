"""Run a backbone over a data set once and store the activations of all chosen layers."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import torch
from torch import Tensor
from tqdm import tqdm

from hsae.activations.extraction import Extraction
from hsae.activations.labels import Labels, read_labels, write_labels
from hsae.activations.loading import pixel_batches
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
from hsae.errors import StoreError

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger("hsae.activations")


class Processes(Protocol):
    """What an Accelerator says and does of processes that work together."""

    @property
    def process_index(self) -> int: ...
    @property
    def num_processes(self) -> int: ...
    @property
    def is_main_process(self) -> bool: ...
    def main_process_first(self) -> AbstractContextManager[None]: ...
    def wait_for_everyone(self) -> None: ...


def extract_activations(
    backbone: Backbone,
    samples: Samples | SampleStream,
    out_dir: Path | str,
    layers: Sequence[str] | Literal["all"] = "all",
    token: Token = "cls",
    *,
    accelerator: Accelerator | Processes | None = None,
    **settings: Any,
) -> ActivationStore:
    """Write the activations of every chosen layer for every image to `out_dir`, from one forward pass each.

    settings: batch_size, shard_rows, dtype, precision, workers and progress, the fields of `Extraction`.
    Interrupted, it goes on at the first missing shard and ends with the same bytes (for the same batch_size). When only
    labels have changed since, it takes them over and runs no image again. With an `accelerator` every process writes
    its share of the shards (of a stream each reads all rows and decodes its own), and all wait for all. Raises
    StoreError when the folder holds something else or cannot be written, or no image is whole; InputError when there
    are no images.
    """
    folder, layer_names = Path(out_dir), backbone.layer_names(layers)
    extraction = Extraction(layer_names, token, **settings).checked(backbone, samples)
    rank, of = (accelerator.process_index, accelerator.num_processes) if accelerator else (0, 1)
    with accelerator.main_process_first() if accelerator else nullcontext():
        if rank == 0:
            sweep(folder)
        manifest = _claim(folder, extraction.describe(backbone, samples))
    total, hidden = samples.expected if of == 1 else None, not extraction.progress or rank > 0
    with tqdm(total=total, unit="image", desc=f"activations {folder.name}", disable=hidden) as bar:
        for number in _missing(folder, manifest, rank, of, bar):
            rows = manifest.shard_range(number)
            content = _run(backbone, samples, rows, extraction, bar)
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
    folder: Path, manifest: Manifest, samples: Samples | SampleStream, accelerator: Accelerator | Processes | None
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
def _run(
    backbone: Backbone, samples: Samples | SampleStream, rows: range, extraction: Extraction, bar: tqdm
) -> tuple[dict[str, Tensor], Tensor, Tensor]:
    """Activations, rows and labels of the whole images among `rows`."""
    shapes = extraction.shapes(backbone)
    buffers = {name: torch.empty(len(rows), *shape, dtype=extraction.dtype) for name, shape in shapes.items()}
    kept: list[int] = []
    labels: list[int] = []
    batches = pixel_batches(backbone, samples, rows, extraction.batch_size, extraction.workers or 0)
    with extraction.multiplying(backbone):
        for batch, pixels in batches:
            pixels = pixels.to(backbone.device, backbone.dtype)
            for name, tokens in backbone.run_tokens(pixels, tuple(buffers), extraction.token).items():
                buffers[name][len(kept) : len(kept) + len(batch)] = tokens
            kept += [row for row, _ in batch]
            labels += [-1 if sample.label is None else sample.label for _, sample in batch]
            bar.update(len(batch))
    filled = {name: buffer[: len(kept)] for name, buffer in buffers.items()}
    return filled, torch.tensor(kept, dtype=torch.int64), torch.tensor(labels, dtype=torch.int64)
