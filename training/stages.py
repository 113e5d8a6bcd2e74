"""The stages of a run, each skipped when its result is there and was made with the same settings.

RUN/heldout.json                           which rows are set apart to measure on, unless a split of the data set is
RUN/activations/{train,heldout,starter}/   activation stores (online: of the training images only what the probes need)
RUN/training/                              checkpoints while it trains, then summary.json and summary.png
RUN/saes/LAYER.safetensors (+ .json)       the SAE of each layer
RUN/artifact/ (+ artifact.json)            what `python app.py --artifact RUN` opens
RUN/.lock                                  held while a run works here
"""

from __future__ import annotations

import logging
from pathlib import Path

from accelerate import Accelerator
from torch import Tensor

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.card import save_with_card
from hsae.artifacts.extras import content_sha256
from hsae.backbones.registry import load_backbone
from hsae.relevancy.explain import regular_grid
from hsae.sae.config import SAEConfig, TrainConfig
from training.build import Found, analysis_settings, build_artifact
from training.checks import checked_splits
from training.disks import Disk, own_disks, shared_disk
from training.ledger import Ledger
from training.planning.here import plan_here
from training.processes import describe
from training.records import Record
from training.run_config import RunConfig
from training.run_folder import run_folder
from training.saes import Training, train_saes
from training.stores import extract, extract_training, take_part
from training.twins import refuse_twin

log = logging.getLogger("hsae.training")


def run(
    config: RunConfig,
    sae: SAEConfig,
    train: TrainConfig,
    accelerator: Accelerator,
    command: str | None = None,
    ledger: Ledger | None = None,
) -> Path:
    """All stages, planned first; returns the folder of the artifact.

    command: how the run was started, for its model card; ledger: takes down the plan and what each stage used.
    """
    folder, ledger = Path(config.run), ledger or Ledger()
    backbone = load_backbone(config.backbone, image_size=config.image_size, device=accelerator.device)
    with accelerator.main_process_first():  # what has to be downloaded is downloaded once
        split = checked_splits(config, train, backbone)
    refuse_twin(config, backbone)
    if accelerator.is_main_process:
        log.info(describe(accelerator, len(backbone.layer_names(config.layer_names)), train))
    plan = ledger.plan = plan_here((config, sae, train), split, backbone, accelerator)
    disk = own_disks(accelerator, train.parallel) if config.own_disks else shared_disk(accelerator)
    with run_folder(folder, disk):
        with ledger.stage("activations", folder / "activations"):
            stores = extract(config, split, backbone, disk) if disk.is_first else None
            source = stores.source if stores else extract_training(config, split, backbone, disk)[0]
            take_part(source, disk)
        neurons = {name: _on_cpu(backbone.mlp_output(name)) for name in source.layers}
        grids = {name: regular_grid(backbone, name) for name in source.layers if config.token == "patch"}
        del backbone  # the largest thing in memory; what is online keeps its own
        training = Training(source, sae, train)
        with ledger.stage("training", folder / "saes"):
            saes = train_saes(folder, training, accelerator, plan.layers_at_once)
        with ledger.stage("analysis", folder / "artifact"):
            if stores:
                _analyse(config, training, Found(stores, saes, neurons, grids, split.heldout), disk, command)
        if accelerator.is_main_process and config.push_to_hub:
            artifact = Artifact.load(folder / "artifact")
            artifact.push(config.push_to_hub, private=config.private, tag=config.push_tag, force=config.force)
        accelerator.wait_for_everyone()
    return folder / "artifact"


def _on_cpu(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else tensor.detach().cpu()


def _analyse(config: RunConfig, training: Training, found: Found, disk: Disk, command: str | None) -> None:
    """Write the artifact unless it is there; every process of the disk analyses its share of the layers."""
    folder = Path(config.run) / "artifact"
    settings = training.settings | {"analysis": analysis_settings(config, found.stores)}
    record = Record(folder, settings, content_sha256)
    if disk.gather(disk.is_main_process and record.done())[0]:
        return
    artifact = build_artifact(config, found, disk)
    if artifact is not None:
        with record.renewed():
            save_with_card(artifact, folder, config.artifact_dtype, command)
