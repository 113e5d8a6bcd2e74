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
from hsae.analysis.layer_report import RULES, LabelledActivations, LayerReport, Surroundings, report_layer
from hsae.analysis.tree_document import tree_document
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.card import save_with_card
from hsae.artifacts.top_images import TopImages
from hsae.atomic import atomic_path, remove, write_json
from hsae.backbones.base import Backbone
from hsae.backbones.registry import load_backbone
from hsae.data.samples import Samples, load_samples
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, wordnet
from hsae.sae.bank import new_bank
from hsae.sae.config import SAEConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.train import TrainConfig, train_bank

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
    classes: str | None = None
    """WordNet ids separated by commas: label each image by the first of them that its own class lies under."""
    copies: int = 1
    """Use every image this many times: as it is, then randomly cropped and mirrored."""
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
    log_with: str | None = None
    """Also log the training to tensorboard, trackio or wandb, when that is installed."""
    push_to_hub: str | None = None
    """Publish the artifact as this Hub model, org/name."""
    push_tag: str | None = None
    """Name for the published commit, e.g. v1."""
    private: bool = False
    """Make a new Hub model private."""
    force: bool = False
    """Publish even where another backbone's artifact or something else is."""

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
    """Training and held-out images: two splits of the data set, or a share of every class set apart."""
    data = load_samples(config.data, split=config.data_split, label_map=config.label_map, limit=config.data_limit)
    if config.heldout_split:
        heldout = load_samples(config.data, split=config.heldout_split, label_map=config.label_map)
        return _prepared(data, config), _prepared(heldout, config)
    data = _relabelled(data, config)
    apart = heldout_rows(data.labels, config.heldout_share)
    train = np.setdiff1d(np.arange(len(data)), apart)
    return data.subset(train).augmented(config.copies), data.subset(apart).augmented(config.copies)


def _prepared(samples: Samples, config: RunConfig) -> Samples:
    return _relabelled(samples, config).augmented(config.copies)


def _relabelled(samples: Samples, config: RunConfig) -> Samples:
    """Labels moved up to `config.classes`; images under none of them lose theirs."""
    if config.classes is None:
        return samples
    wanted = [wnid.strip() for wnid in config.classes.split(",")]
    wordnet().require(wanted)
    above = {wnid: wordnet().ancestors(wnid) for wnid in samples.classes}
    return samples.relabelled({wnid: next((w for w in wanted if w in up), None) for wnid, up in above.items()})


def run(
    config: RunConfig, sae: SAEConfig, train: TrainConfig, accelerator: Accelerator, command: str | None = None
) -> Path:
    """All stages; returns the folder of the artifact. command: how the run was started, for its model card."""
    backbone = load_backbone(config.backbone, image_size=config.image_size, device=accelerator.device)
    with accelerator.main_process_first():
        stores = extract(config, backbone)
    saes = train_saes(config, stores, sae, train, accelerator)
    folder = Path(config.run) / "artifact"
    settings = _settings(stores, sae, train) | {"tau": config.tau, "artifact_dtype": config.artifact_dtype}
    if accelerator.is_main_process and not _done(folder.with_suffix(".json"), settings):
        save_with_card(build_artifact(config, backbone, stores, saes), folder, config.artifact_dtype, command)
        write_json(folder.with_suffix(".json"), settings)
    if accelerator.is_main_process and config.push_to_hub:
        artifact = Artifact.load(folder)
        artifact.push(config.push_to_hub, private=config.private, tag=config.push_tag, force=config.force)
    accelerator.wait_for_everyone()
    return folder


def train_saes(
    config: RunConfig, stores: Stores, sae: SAEConfig, train: TrainConfig, accelerator: Accelerator
) -> dict[str, SparseAutoencoder]:
    """The SAEs of all layers, trained unless they are there already."""
    path, settings = Path(config.run) / "saes.safetensors", _settings(stores, sae, train)
    if not _done(path.with_suffix(".json"), settings):
        bank = train_bank(
            stores.train,
            sae,
            train,
            accelerator=accelerator,
            progress=accelerator.is_main_process,
            checkpoint=Path(config.run) / "training",
        )
        if accelerator.is_main_process:
            tensors = {f"{name}.{key}": value for name, m in bank.items() for key, value in m.state_dict().items()}
            with atomic_path(path) as temporary:
                save_file(tensors, temporary)
            write_json(path.with_suffix(".json"), settings)
            for state in (Path(config.run) / "training").glob("process_*"):
                remove(state)  # no longer needed, and another run here would find it to be of other settings
        accelerator.wait_for_everyone()
    bank = new_bank(stores.train, tuple(stores.train.layers), sae)
    bank.load_state_dict(load_file(path))
    return {name: module.eval().requires_grad_(False) for name, module in bank.items()}


def build_artifact(
    config: RunConfig, backbone: Backbone, stores: Stores, saes: dict[str, SparseAutoencoder]
) -> Artifact:
    """Probe and analyse every layer, and put everything together."""
    taxonomy = Taxonomy(stores.heldout.classes)
    starter_keys = [load_samples("starter").key(row) for row in stores.starter.rows.tolist()]
    looks = stores.heldout.layer(list(stores.heldout.layers)[-1]).mean(1)
    reports = {}
    for name, module in tqdm(saes.items(), desc="analysis", unit="layer"):
        around = Surroundings(neurons=backbone.mlp_output(name), embeddings=looks)
        train, heldout = _labelled(stores.train, name), _labelled(stores.heldout, name)
        starter = stores.starter.layer(name)
        reports[name] = report_layer(module, train, heldout, starter, taxonomy, config.tau, around)
    return Artifact(
        backbone=stores.train.manifest.backbone | {"token": config.token},
        dataset={
            "id": config.dataset_name or config.data,
            "split": config.heldout_split or f"{config.heldout_share:.0%} set apart",
            "n_images": len(stores.train),
            "classes": list(taxonomy.classes),
        },
        taxonomy=taxonomy.rules | RULES | {"tau": config.tau},
        saes=saes,
        latents={name: report.latents for name, report in reports.items()},
        top_images={name: _top_images(report, stores, starter_keys) for name, report in reports.items()},
        probes={name: report.probe for name, report in reports.items()},
        curves={name: report.curves for name, report in reports.items()},
        tree=tree_document(taxonomy, {name: report.structure for name, report in reports.items()}),
    )


def heldout_rows(labels: list[int | None], share: float, seed: int = 0) -> np.ndarray:
    """Sorted rows to set apart: `share` of every class (rounded, random but always the same)."""
    generator = np.random.default_rng(seed)
    order = generator.permutation(len(labels))
    classes = np.array([-1 if label is None else label for label in labels])[order]
    chosen = [rows[: round(share * len(rows))] for rows in (order[classes == c] for c in np.unique(classes))]
    return np.sort(np.concatenate(chosen)).astype(np.int64)


def _settings(stores: Stores, sae: SAEConfig, train: TrainConfig) -> dict[str, Any]:
    """What decides the SAEs: when this is unchanged, they need no training."""
    return {"store": asdict(stores.train.manifest), "sae": asdict(sae), "train": asdict(train)}


def _done(record: Path, settings: dict[str, Any]) -> bool:
    """Whether the stage that writes `record` last was finished with these settings."""
    if not record.is_file():
        return False
    if json.loads(record.read_text(encoding="utf-8")) == json.loads(json.dumps(settings)):
        log.info("%s is there already", record.stem)
        return True
    log.info("%s was made with other settings and is made again", record.stem)
    return False


def _labelled(store: ActivationStore, layer: str) -> LabelledActivations:
    """A layer's activations with the labels of their images."""
    return LabelledActivations(store.layer(layer), store.labels)


def _top_images(report: LayerReport, stores: Stores, starter_keys: list[str]) -> TopImages:
    """Top images by row of the held-out data set and by key of the starter photograph."""
    rows = stores.heldout.rows.tolist()
    pairs = zip(
        report.top_heldout.images,
        report.top_heldout.activations,
        report.top_starter.images,
        report.top_starter.activations,
        strict=True,
    )
    return [
        {
            "dataset": [[rows[i], round(float(v), 4)] for i, v in zip(images, values, strict=True)],
            "starter": [[starter_keys[i], round(float(v), 4)] for i, v in zip(keys, strengths, strict=True)],
        }
        for images, values, keys, strengths in pairs
    ]
