"""The stages of a run, each skipped when its result is there and was made with the same settings.

    RUN/activations/{train,heldout,starter}/   activation stores
    RUN/saes.safetensors (+ saes.json)         the SAEs of all layers
    RUN/artifact/                              what `python app.py --artifact RUN` opens
"""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from tqdm import tqdm

from hsae.activations.extract import extract_activations
from hsae.activations.store import ActivationStore
from hsae.backbones.base import Backbone
from hsae.backbones.registry import load_backbone
from hsae.data.samples import Samples, load_samples
from hsae.errors import InputError
from hsae.sae.config import SAEConfig
from hsae.sae.train import TrainConfig

log = logging.getLogger("hsae.training")


@dataclass(frozen=True)
class RunConfig:
    """What is run on what; every field is a flag of train.py."""

    run: str
    """Folder of the run, e.g. runs/quickstart."""
    data: str = "starter"
    """"starter", a folder of class folders, parquet files, or a Hub id."""
    data_split: str | None = None
    data_limit: int | None = None
    """Use only the first rows."""
    heldout_split: str | None = None
    """Split of `data` to measure on; without one, `heldout_share` of the images is set apart."""
    heldout_share: float = 0.2
    label_map: str | None = None
    """CSV or JSON file that maps class names to WordNet ids."""
    dataset_name: str | None = None
    """Name of the data set in the artifact; default: `data`."""
    backbone: str = "dinov2-small-focus"
    image_size: int = 224
    """Side in pixels of the square the backbone sees."""
    token: str = "cls"
    """cls, mean or patch."""
    layers: str = "all"
    """all, or names separated by commas."""
    images_per_batch: int = 32
    tau: float = 0.5
    """A class belongs to a latent when the latent fires on at least this share of its held-out images."""
    artifact_dtype: str = "float16"
    """float16 or float32, for the SAE weights on disk."""

    def __post_init__(self) -> None:
        if not 0 < self.heldout_share < 1:
            raise InputError(f"heldout_share {self.heldout_share}", "a share between 0 and 1")


@dataclass(frozen=True)
class Stores:
    """The activation stores of a run."""

    train: ActivationStore
    heldout: ActivationStore
    starter: ActivationStore


def extract(config: RunConfig, backbone: Backbone) -> Stores:
    """Activations of the training, held-out and starter images."""
    train, heldout = _splits(config)
    layers = "all" if config.layers == "all" else config.layers.split(",")
    parts = {"train": train, "heldout": heldout, "starter": load_samples("starter")}
    folder = Path(config.run) / "activations"
    return Stores(
        **{
            name: extract_activations(
                backbone, samples, folder / name, layers, config.token, batch_size=config.images_per_batch
            )
            for name, samples in parts.items()
        }
    )


def _splits(config: RunConfig) -> tuple[Samples, Samples]:
    """Training and held-out images: two splits of the data set, or every n-th image of each class set apart."""
    data = load_samples(config.data, split=config.data_split, label_map=config.label_map, limit=config.data_limit)
    if config.heldout_split:
        return data, load_samples(config.data, split=config.heldout_split, label_map=config.label_map)
    apart = heldout_rows(data.labels, config.heldout_share)
    return data.subset(np.setdiff1d(np.arange(len(data)), apart)), data.subset(apart)


def run(config: RunConfig, sae: SAEConfig, train: TrainConfig, accelerator: Accelerator) -> Path:
    """All stages; returns the folder of the artifact."""
    backbone = load_backbone(config.backbone, image_size=config.image_size, device=accelerator.device)
    with accelerator.main_process_first():
        stores = extract(config, backbone)
    saes = train_saes(config, stores, sae, train, accelerator)
    folder = Path(config.run) / "artifact"
    settings = _settings(stores, sae, train) | {"tau": config.tau, "artifact_dtype": config.artifact_dtype}
    if accelerator.is_main_process and not _done(folder.with_suffix(".json"), settings):
        build_artifact(config, backbone, stores, saes).save(folder, dtype=config.artifact_dtype)
        write_json(folder.with_suffix(".json"), settings)
    accelerator.wait_for_everyone()
    return folder


def train_saes(
    config: RunConfig, stores: Stores, sae: SAEConfig, train: TrainConfig, accelerator: Accelerator
) -> dict[str, SparseAutoencoder]:
    """The SAEs of all layers, trained unless they are there already."""
    path, settings = Path(config.run) / "saes.safetensors", _settings(stores, sae, train)
    if not _done(path.with_suffix(".json"), settings):
        bank = train_bank(stores.train, sae, train, accelerator=accelerator, progress=accelerator.is_main_process)
        if accelerator.is_main_process:
            with atomic_path(path) as temporary:
                save_file({f"{n}.{k}": v for n, m in bank.items() for k, v in m.state_dict().items()}, temporary)
            write_json(path.with_suffix(".json"), settings)
        accelerator.wait_for_everyone()
    tensors, bank = load_file(path), new_bank(stores.train, tuple(stores.train.layers), sae)
    bank.load_state_dict(tensors)
    return {name: module.eval().requires_grad_(False) for name, module in bank.items()}


def build_artifact(
    config: RunConfig, backbone: Backbone, stores: Stores, saes: dict[str, SparseAutoencoder]
) -> Artifact:
    """Probe and analyse every layer, and put everything together."""
    taxonomy = Taxonomy(stores.heldout.classes)
    starter_keys = [load_samples("starter").key(row) for row in stores.starter.rows.tolist()]
    reports = {}
    for name, module in tqdm(saes.items(), desc="analysis", unit="layer"):
        train, heldout = (
            LabelledActivations(store.layer(name).flatten(0, 1), _token_labels(store, name))
            for store in (stores.train, stores.heldout)
        )
        reports[name] = report_layer(module, train, heldout, stores.starter.layer(name).flatten(0, 1), taxonomy, config.tau)
    return Artifact(
        backbone=stores.train.manifest.backbone | {"token": config.token},
        dataset={
            "id": config.dataset_name or config.data,
            "split": config.heldout_split or f"every image set apart ({config.heldout_share:.0%})",
            "n_images": len(stores.train),
            "classes": list(taxonomy.classes),
        },
        taxonomy=taxonomy.rules | {"rule": "firing rate", "tau": config.tau, "q": None, "nulls": []},
        saes=saes,
        latents={name: report.latents for name, report in reports.items()},
        top_images={name: _top_images(report, stores, starter_keys) for name, report in reports.items()},
        probes={name: report.probe for name, report in reports.items()},
        curves={name: report.curves for name, report in reports.items()},
        tree={},
    )


def heldout_rows(labels: list[int | None], share: float, seed: int = 0) -> np.ndarray:
    """Sorted rows to set apart: `share` of every class (rounded, random but always the same)."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    classes = np.array([-1 if label is None else label for label in labels])[order]
    chosen = [rows[: round(share * len(rows))] for rows in (order[classes == c] for c in np.unique(classes))]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _token_labels(store: ActivationStore, layer: str) -> torch.Tensor:
    """The image's label for each of its tokens."""
    return store.labels.repeat_interleave(store.n_tokens // len(store))
