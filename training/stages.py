"""The stages of a run, each skipped when its result is there and was made with the same settings.

RUN/heldout.json                           which rows are set apart to measure on, unless a split of the data set is
RUN/activations/{train,heldout,starter}/   activation stores (online: of the training images only what the probes need)
RUN/training/                              checkpoint while it trains, then summary.json and summary.png
RUN/saes.safetensors (+ saes.json)         the SAEs of all layers
RUN/artifact/ (+ artifact.json)            what `python app.py --artifact RUN` opens
RUN/.lock                                  held while a run works here
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors.torch import load_file, save_file
from torch.nn import ModuleDict

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.card import save_with_card
from hsae.artifacts.extras import content_sha256
from hsae.atomic import atomic_path, remove
from hsae.backbones.registry import load_backbone
from hsae.sae.bank import new_bank
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.train import train_bank
from training.build import analysis_settings, build_artifact
from training.checks import checked_splits
from training.processes import describe, first_says
from training.records import Record
from training.run_config import RunConfig
from training.run_folder import run_folder
from training.stores import Stores, extract
from training.twins import refuse_twin

log = logging.getLogger("hsae.training")


def run(
    config: RunConfig, sae: SAEConfig, train: TrainConfig, accelerator: Accelerator, command: str | None = None
) -> Path:
    """All stages; returns the folder of the artifact. command: how the run was started, for its model card."""
    backbone = load_backbone(config.backbone, image_size=config.image_size, device=accelerator.device)
    with accelerator.main_process_first():  # what has to be downloaded is downloaded once
        split = checked_splits(config, train, backbone)
    refuse_twin(config, backbone)
    if accelerator.is_main_process:
        log.info(describe(accelerator, len(backbone.layer_names(config.layer_names)), train))
    with run_folder(Path(config.run), accelerator):
        stores = extract(config, split, backbone, accelerator)
        saes = train_saes(config, stores, sae, train, accelerator)
        folder = Path(config.run) / "artifact"
        settings = _settings(stores, sae, train) | {"analysis": analysis_settings(config, stores)}
        record = Record(folder, settings, content_sha256)
        if accelerator.is_main_process and not record.done():
            artifact = build_artifact(config, backbone, stores, saes, split.heldout)
            with record.renewed():
                save_with_card(artifact, folder, config.artifact_dtype, command)
        if accelerator.is_main_process and config.push_to_hub:
            artifact = Artifact.load(folder)
            artifact.push(config.push_to_hub, private=config.private, tag=config.push_tag, force=config.force)
        accelerator.wait_for_everyone()
    return folder


def train_saes(
    config: RunConfig, stores: Stores, sae: SAEConfig, train: TrainConfig, accelerator: Accelerator
) -> dict[str, SparseAutoencoder]:
    """The SAEs of all layers, trained unless they are there already."""
    record = Record(Path(config.run) / "saes.safetensors", _settings(stores, sae, train))
    if not first_says(accelerator.is_main_process and record.done()):
        bank = train_bank(
            stores.source,
            sae,
            train,
            accelerator=accelerator,
            progress=accelerator.is_main_process,
            checkpoint=Path(config.run) / "training",
        )
        if accelerator.is_main_process:
            tensors = {f"{name}.{key}": value for name, m in bank.items() for key, value in m.state_dict().items()}
            with record.renewed(), atomic_path(record.result) as temporary:
                save_file(tensors, temporary)
            for state in (Path(config.run) / "training").glob("process_*"):
                remove(state)  # no longer needed, and another run here would find it to be of other settings
        accelerator.wait_for_everyone()
    bank = new_bank(stores.source, tuple(stores.source.layers), sae)
    ModuleDict(bank).load_state_dict(load_file(record.result))
    return {name: module.eval().requires_grad_(False) for name, module in bank.items()}


def _settings(stores: Stores, sae: SAEConfig, train: TrainConfig) -> dict[str, Any]:
    """What decides the SAEs, labels not among it: when this is unchanged, they need no training."""
    return {"store": stores.source.manifest.content, "sae": asdict(sae), "train": asdict(train)}
