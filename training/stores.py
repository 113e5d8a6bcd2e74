"""The first stage of a run: activations of its training, held-out and starter images."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from accelerate import Accelerator

from hsae.activations.extract import extract_activations
from hsae.activations.online import OnlineActivations
from hsae.activations.store import ActivationStore
from hsae.atomic import write_json
from hsae.backbones.base import Backbone
from hsae.data.joined import join_samples
from hsae.data.samples import Samples, load_samples
from hsae.data.stream import SampleStream, stream_samples
from hsae.errors import StoreError
from hsae.hierarchy import wordnet
from hsae.measures.splits import heldout_rows
from training.run_config import DataSource, RunConfig

Images = TypeVar("Images", Samples, SampleStream)

SPLIT = "heldout.json"
"""Which rows a run has set apart."""


@dataclass(frozen=True)
class Stores:
    """The activations of a run."""

    source: ActivationStore | OnlineActivations
    """What the SAEs are trained on: `train`, or online all training images."""
    train: ActivationStore
    """Training images for the probes; online at most `probe_images` of them."""
    heldout: ActivationStore
    starter: ActivationStore


@dataclass(frozen=True)
class Split:
    """The images of a run."""

    train: Samples | SampleStream
    heldout: Samples
    record: dict[str, Any] = field(default_factory=dict)
    """Which rows of which images are set apart, by the number of their source; without those that have a split."""


def extract(config: RunConfig, split: Split, backbone: Backbone, accelerator: Accelerator) -> Stores:
    """Activations of the training, held-out and starter images, each process making its share."""
    if split.record and accelerator.is_main_process:
        write_json(Path(config.run) / SPLIT, split.record, compact=True)
    layers = config.layer_names
    size, workers = config.images_per_batch, config.workers

    def kept(samples: Samples | SampleStream) -> Samples | SampleStream:
        if config.decode_cache is None or isinstance(samples, SampleStream):
            return samples
        return samples.kept(config.decode_cache, backbone.preprocessing.image_size, backbone.preprocessing.crop)

    def stored(name: str, samples: Samples | SampleStream, precision: torch.dtype = torch.float32) -> ActivationStore:
        folder = Path(config.run) / "activations" / name
        options = {"batch_size": size, "precision": precision, "workers": workers, "accelerator": accelerator}
        return extract_activations(backbone, kept(samples), folder, layers, config.token, **options)

    precision = getattr(torch, config.train_precision)
    online = config.activations == "online"
    train = stored("train", _some(split.train, config.probe_images) if online else split.train, precision)
    source = train
    if online:
        options = {"images_per_run": size, "precision": precision, "workers": workers}
        source = OnlineActivations(backbone, kept(split.train), layers, config.token, **options)
    return Stores(source, train, stored("heldout", split.heldout), stored("starter", load_samples("starter")))


def _some(samples: Samples | SampleStream, n: int, seed: int = 0) -> Samples | SampleStream:
    """At most `n` images: random but always the same ones, in order; of a stream the first."""
    if isinstance(samples, SampleStream):
        return samples.take(n)
    return samples.subset(np.sort(np.random.default_rng(seed).permutation(len(samples))[:n]))


def splits(config: RunConfig) -> Split:
    """Training and held-out images of all sources: two splits of each, or a share of every class set apart.

    Both have the same list of classes. What a run has set apart stays so when labels are mended: else images that its
    SAEs were trained on would be measured.
    """
    found = [_split(config, source, number) for number, source in enumerate(config.sources)]
    classes = tuple(sorted({wnid for part in found for wnid in (*part.train.classes, *part.heldout.classes)}))
    train = found[0].train if config.stream else join_samples([part.train for part in found])
    heldout = join_samples([part.heldout for part in found])
    record = {name: rows for part in found for name, rows in part.record.items()}
    return Split(_copied(train.among(classes), config), _copied(heldout.among(classes), config), record)


def _split(config: RunConfig, source: DataSource, number: int) -> Split:
    """The images of one source."""
    load = stream_samples if config.stream else load_samples
    data = load(source.name, split=source.split, label_map=source.label_map, limit=config.data_limit)
    data = _relabelled(data, config)
    if source.heldout_split:
        heldout = load_samples(source.name, split=source.heldout_split, label_map=source.label_map)
        return Split(data, _relabelled(heldout, config))
    images = {"images": data.images_fingerprint, "share": config.heldout_share}
    apart = _kept_rows(Path(config.run) / SPLIT, str(number), images)
    if apart is None:
        apart = heldout_rows(data.labels, config.heldout_share)
    train = np.setdiff1d(np.arange(len(data)), apart)
    return Split(data.subset(train), data.subset(apart), {str(number): images | {"heldout": apart.tolist()}})


def _kept_rows(path: Path, source: str, images: dict[str, Any]) -> np.ndarray | None:
    """The rows set apart before of the same images of a source; StoreError when the file that says so is damaged."""
    if not path.is_file():
        return None
    try:
        kept = json.loads(path.read_text(encoding="utf-8")).get(source)
        rows = np.array(kept["heldout"] if kept else [], dtype=np.int64)
    except (OSError, AttributeError, ValueError, TypeError, KeyError) as error:
        do = "Delete it: other images may be set apart then, and all activations are made again."
        raise StoreError(f"{path} is damaged: {error}", "which rows are set apart", do) from error
    return rows if kept and kept == images | {"heldout": kept["heldout"]} else None


def _copied(samples: Images, config: RunConfig) -> Images:
    return samples if config.copies == 1 else samples.augmented(config.copies)


def _relabelled(samples: Images, config: RunConfig) -> Images:
    """Labels moved up to `config.classes`; images under none of them lose theirs."""
    if config.classes is None:
        return samples
    wanted = [wnid.strip() for wnid in config.classes.split(",")]
    wordnet().require(wanted)
    above = {wnid: wordnet().ancestors(wnid) for wnid in samples.classes}
    return samples.relabelled({wnid: next((w for w in wanted if w in up), None) for wnid, up in above.items()})
