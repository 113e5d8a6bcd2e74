"""The first stage of a run: activations of its training, held-out and starter images."""

from __future__ import annotations

import json
import logging
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from hsae.activations.extract import extract_activations
from hsae.activations.online import OnlineActivations
from hsae.activations.store import ActivationStore, Part
from hsae.atomic import write_json
from hsae.backbones.base import Backbone
from hsae.data.joined import join_samples
from hsae.data.samples import Samples, load_samples
from hsae.data.stream import SampleStream, stream_samples
from hsae.errors import StoreError
from hsae.hierarchy import wordnet
from hsae.measures.splits import rows_apart
from training.disks import Disk, everyone_says
from training.run_config import DataSource, RunConfig

Images = TypeVar("Images", Samples, SampleStream)

SPLIT = "heldout.json"
"""Which rows a run has set apart."""
CHOICE_SHARE, ENOUGH = 0.15, 20
"""Share of the images set apart to choose on, by default, and from how many images of a class on, in the median."""
STARTER_REHEARSED = 16
"""Of the starter photographs, which all are run otherwise."""
SHARD_REHEARSED = 8
"""Images of a shard and at most of a batch in a rehearsal: its few images are to be shared by several processes."""

log = logging.getLogger("hsae.training")


@dataclass(frozen=True)
class Stores:
    """The activations of a run."""

    source: ActivationStore | OnlineActivations
    """What the SAEs are trained on: `train`, or online all training images."""
    train: ActivationStore
    """Training images for the probes; online at most `most_probed` of them."""
    heldout: ActivationStore
    starter: ActivationStore
    choice: ActivationStore | None = None
    """Images that no SAE or probe was trained on and that nothing is measured on: they choose and confirm."""

    @property
    def n_images(self) -> int:
        """Training images, those on other disks counted."""
        part = self.source.part if isinstance(self.source, ActivationStore) else None
        return part.images if part else len(self.source)


@dataclass(frozen=True)
class Split:
    """The images of a run."""

    train: Samples | SampleStream
    heldout: Samples
    choice: Samples | None = None
    """Training images set apart to choose and confirm on; None where a run sets none apart."""
    record: dict[str, Any] = field(default_factory=dict)
    """Which rows of which images are set apart, by the number of their source."""


def extract(config: RunConfig, split: Split, backbone: Backbone, disk: Disk) -> Stores:
    """Activations of the training, held-out and starter images on one disk, each of its processes making its share."""
    if split.record and disk.is_main_process:
        write_json(Path(config.run) / SPLIT, split.record, compact=True)
    store = _Storing(config, backbone, disk)
    source, train = extract_training(config, split, backbone, disk)
    choice = None if split.choice is None else store("choice", split.choice, quick=True)
    photographs = load_samples("starter", limit=STARTER_REHEARSED if config.rehearse else None)
    heldout, starter = store("heldout", split.heldout), store("starter", photographs)
    return Stores(source, train, heldout, starter, choice)


def extract_training(
    config: RunConfig, split: Split, backbone: Backbone, disk: Disk
) -> tuple[ActivationStore | OnlineActivations, ActivationStore]:
    """What SAEs are trained on, of several disks this one's part of it, and the training images of the probes."""
    store, online = _Storing(config, backbone, disk), config.activations == "online"
    images = _some(split.train, config.most_probed or 1) if online else split.train
    train = store("train", images if online else _part(images, disk), quick=True)
    if not online:
        return train, train
    options: dict[str, Any] = {"images_per_run": config.images_per_batch, "workers": config.workers}
    options["precision"] = getattr(torch, config.train_precision)
    return OnlineActivations(backbone, store.kept(split.train), config.layer_names, config.token, **options), train


@dataclass(frozen=True)
class _Storing:
    """Makes the stores of a run."""

    config: RunConfig
    backbone: Backbone
    disk: Disk

    def __call__(self, name: str, images: Samples | SampleStream, quick: bool = False) -> ActivationStore:
        """quick: in the precision and the numbers of the training images."""
        config = self.config
        how: dict[str, Any] = {"batch_size": config.images_per_batch, "workers": config.workers}
        if config.rehearse:
            how["shard_rows"] = SHARD_REHEARSED
        if quick:
            how |= {"precision": getattr(torch, config.train_precision), "dtype": getattr(torch, config.store_dtype)}
        folder, layers = Path(config.run) / "activations" / name, config.layer_names
        return extract_activations(
            self.backbone, self.kept(images), folder, layers, config.token, accelerator=self.disk, **how
        )

    def kept(self, images: Samples | SampleStream) -> Samples | SampleStream:
        """The same, decoded once, where the run has a cache."""
        if self.config.decode_cache is None or isinstance(images, SampleStream):
            return images
        preprocessing = self.backbone.preprocessing
        return images.kept(self.config.decode_cache, preprocessing.image_size, preprocessing.crop)


def take_part(source: ActivationStore | OnlineActivations, disk: Disk) -> None:
    """Say of a store that is one of several, each on its disk, how much of it an epoch has; all processes call this."""
    if disk.of > 1 and isinstance(source, ActivationStore):
        sizes = everyone_says((source.n_tokens, len(source), disk.is_main_process))
        images = sum(n for _, n, is_main in sizes if is_main)
        source.part = Part(disk.process_index, disk.num_processes, min(tokens for tokens, _, _ in sizes), images)


def _part(images: Samples | SampleStream, disk: Disk) -> Samples | SampleStream:
    """Of several disks' images this one's: every so-manieth of a listing, so that each has some of every class."""
    if disk.of == 1:
        return images
    if isinstance(images, SampleStream):
        return images.shared(disk.number, disk.of)
    return images.subset(np.arange(len(images))[disk.number :: disk.of])


def _some(samples: Samples | SampleStream, n: int, seed: int = 0) -> Samples | SampleStream:
    """At most `n` images: random but always the same ones, in order; of a stream the first."""
    if isinstance(samples, SampleStream):
        return samples.take(n)
    return samples.subset(np.sort(np.random.default_rng(seed).permutation(len(samples))[:n]))


def splits(config: RunConfig) -> Split:
    """Training, choice and held-out images of all sources: splits of each, or shares of every class set apart.

    All have the same list of classes. What a run has set apart stays so when labels are mended: else images that its
    SAEs were trained on would be measured.
    """
    split = _streamed(config) if config.stream else _listed(config)
    classes = tuple(sorted({*split.train.classes, *split.heldout.classes}))
    choice = None if split.choice is None else split.choice.among(classes)
    return replace(split, train=split.train.among(classes), heldout=split.heldout.among(classes), choice=choice)


def _streamed(config: RunConfig) -> Split:
    """The images of the one source of a stream."""
    (source,) = config.sources
    train = stream_samples(source.name, split=source.split, label_map=source.label_map, limit=config.data_limit)
    return Split(_relabelled(train, config), _heldout(config, source))


def _listed(config: RunConfig) -> Split:
    """The images of all sources together, each as often as `config.copies` says."""
    parts = [_source_split(config, source, number) for number, source in enumerate(config.sources)]
    train, heldout = (join_samples([getattr(part, name) for part in parts]) for name in ("train", "heldout"))
    apart = [part.choice for part in parts if part.choice is not None]
    record = {name: rows for part in parts for name, rows in part.record.items()}
    return Split(_copied(train, config), _copied(heldout, config), join_samples(apart) if apart else None, record)


def _source_split(config: RunConfig, source: DataSource, number: int) -> Split:
    """The images of one source, and its part of the record."""
    data = load_samples(source.name, split=source.split, label_map=source.label_map, limit=config.data_limit)
    data = _relabelled(data, config)
    recorded = _recorded(Path(config.run) / SPLIT, str(number), data.images_fingerprint)
    shares = {"choice": _choice_share(config, source, data, recorded)}
    shares |= {} if source.heldout_split else {"heldout": config.heldout_share}
    rows = _kept_rows(recorded, shares) or _rows_apart(data, shares)
    used = np.concatenate(list(rows.values()))
    train = data.subset(np.setdiff1d(np.arange(len(data)), used))
    heldout = _heldout(config, source) if source.heldout_split else data.subset(rows["heldout"])
    choice = data.subset(rows["choice"]) if len(rows["choice"]) else None
    images = {"images": data.images_fingerprint, "shares": shares}
    record = {str(number): images | {name: apart.tolist() for name, apart in rows.items()}} if len(used) else {}
    return Split(train, heldout, choice, record)


def _choice_share(config: RunConfig, source: DataSource, data: Samples, recorded: dict[str, Any]) -> float:
    """What the run says; else what it was before, whatever became of the labels; else by the size of the classes."""
    before = recorded.get("shares", {}).get("choice")
    if config.choice_share is not None or before is not None:
        return before if config.choice_share is None else config.choice_share
    sizes = list(Counter(label for label in data.labels if label is not None).values())
    if not sizes:
        return 0.0
    median = float(np.median(sizes))
    if median < ENOUGH:
        log.warning(
            "%s has %g images a class in the median, fewer than %d: none is set apart to choose names of latents on",
            source.name, median, ENOUGH,
        )  # fmt: skip
    return CHOICE_SHARE if median >= ENOUGH else 0.0


def _rows_apart(data: Samples, shares: dict[str, float]) -> dict[str, np.ndarray]:
    """Rows for each share of every class, none in two of them; what is measured on is taken first."""
    rows, left = {}, np.arange(len(data))
    for name in sorted(shares, reverse=True):
        labels = [data.labels[row] for row in left]
        rows[name] = left[rows_apart(labels, shares[name])] if shares[name] else left[:0]
        left = np.setdiff1d(left, rows[name])
    return rows


def _heldout(config: RunConfig, source: DataSource) -> Samples:
    """The held-out images of a source that has a split of them."""
    return _relabelled(load_samples(source.name, split=source.heldout_split, label_map=source.label_map), config)


def _recorded(path: Path, source: str, fingerprint: str) -> dict[str, Any]:
    """What was set apart before of the same images of a source; StoreError when the file that says so is damaged."""
    if not path.is_file():
        return {}
    try:
        kept = json.loads(path.read_text(encoding="utf-8")).get(source) or {}
        if kept.get("images") != fingerprint:
            return {}
        rows = {name: np.array(kept[name], dtype=np.int64) for name in ("choice", "heldout") if name in kept}
        return {"shares": dict(kept.get("shares", {}))} | rows
    except (OSError, AttributeError, ValueError, TypeError) as error:
        do = "Delete it: other images may be set apart then, and all activations are made again."
        raise StoreError(f"{path} is damaged: {error}", "which rows are set apart", do) from error


def _kept_rows(recorded: dict[str, Any], shares: dict[str, float]) -> dict[str, np.ndarray] | None:
    """The rows set apart before, when the shares are the same."""
    known = recorded.get("shares") == shares and shares.keys() <= recorded.keys()
    return {name: recorded[name] for name in shares} if known else None


def _copied(samples: Samples, config: RunConfig) -> Samples:
    return samples if config.copies == 1 else samples.augmented(config.copies)


def _relabelled(samples: Images, config: RunConfig) -> Images:
    """Labels moved up to `config.classes`; images under none of them lose theirs."""
    if config.classes is None:
        return samples
    wanted = [wnid.strip() for wnid in config.classes.split(",")]
    wordnet().require(wanted)
    above = {wnid: wordnet().ancestors(wnid) for wnid in samples.classes}
    return samples.relabelled({wnid: next((w for w in wanted if w in up), None) for wnid, up in above.items()})
