"""The first stage of a run: activations of its training, held-out and starter images."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from accelerate import Accelerator

from hsae.activations.extract import extract_activations
from hsae.activations.online import OnlineActivations
from hsae.activations.store import ActivationStore
from hsae.backbones.base import Backbone
from hsae.data.samples import Samples, load_samples
from hsae.data.stream import SampleStream, stream_samples
from hsae.hierarchy import wordnet
from training.run_config import RunConfig

Images = TypeVar("Images", Samples, SampleStream)


@dataclass(frozen=True)
class Stores:
    """The activations of a run."""

    source: ActivationStore | OnlineActivations
    """What the SAEs are trained on: `train`, or online all training images."""
    train: ActivationStore
    """Training images for the probes; online at most `probe_images` of them."""
    heldout: ActivationStore
    starter: ActivationStore


def extract(config: RunConfig, backbone: Backbone, accelerator: Accelerator) -> Stores:
    """Activations of the training, held-out and starter images, each process making its share."""
    with accelerator.main_process_first():  # what has to be downloaded is downloaded once
        images, heldout = splits(config)
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
    train = stored("train", _some(images, config.probe_images) if online else images, precision)
    source = train
    if online:
        options = {"images_per_run": size, "precision": precision, "workers": workers}
        source = OnlineActivations(backbone, kept(images), layers, config.token, **options)
    return Stores(source, train, stored("heldout", heldout), stored("starter", load_samples("starter")))


def _some(samples: Samples | SampleStream, n: int, seed: int = 0) -> Samples | SampleStream:
    """At most `n` images: random but always the same ones, in order; of a stream the first."""
    if isinstance(samples, SampleStream):
        return samples.take(n)
    return samples.subset(np.sort(np.random.default_rng(seed).permutation(len(samples))[:n]))


def splits(config: RunConfig) -> tuple[Samples | SampleStream, Samples]:
    """Training and held-out images: two splits of the data set, or a share of every class set apart."""
    load = stream_samples if config.stream else load_samples
    data = load(config.data, split=config.data_split, label_map=config.label_map, limit=config.data_limit)
    data = _relabelled(data, config)
    if config.heldout_split:
        heldout = load_samples(config.data, split=config.heldout_split, label_map=config.label_map)
        return _copied(data, config), _copied(_relabelled(heldout, config), config)
    apart = heldout_rows(data.labels, config.heldout_share)
    train = np.setdiff1d(np.arange(len(data)), apart)
    return data.subset(train).augmented(config.copies), data.subset(apart).augmented(config.copies)


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


def heldout_rows(labels: list[int | None], share: float, seed: int = 0) -> np.ndarray:
    """Sorted rows to set apart: `share` of every class (rounded, random but always the same)."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    classes = np.array([-1 if label is None else label for label in labels])[order]
    chosen = [rows[: round(share * len(rows))] for rows in (order[classes == c] for c in np.unique(classes))]
    return np.sort(np.concatenate(chosen)).astype(np.int64)
