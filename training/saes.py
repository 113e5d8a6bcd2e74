"""The second stage of a run: the SAEs of all layers, so many of them at a time as memory holds.

RUN/saes/LAYER.safetensors (+ .json)      the SAE of a layer
RUN/training/FIRST-LAST/                  checkpoint of the layers that train together
RUN/training/summary.json (+ summary.png) how training went, once all layers are done

An SAE depends on its layer alone, so the same bits come out however many layers train together.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from hsae.activations.online import OnlineActivations
from hsae.activations.store import ActivationStore
from hsae.atomic import atomic_path, remove
from hsae.sae.bank import new_sae
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.summary import merged_points, off_targets, write_summary
from hsae.sae.train import train_bank
from training.processes import first_says
from training.records import Record


@dataclass(frozen=True)
class SavedBank(Mapping[str, SparseAutoencoder]):
    """The SAEs of a run by layer, each read from its file whenever it is asked for, so that none stays in memory."""

    folder: Path
    widths: dict[str, int]
    """Of the activations, by layer in model order."""
    config: SAEConfig

    def __getitem__(self, layer: str) -> SparseAutoencoder:
        sae = new_sae(self.config, self.widths[layer])
        sae.load_state_dict(load_file(self.path(layer)), assign=True)
        return sae.eval().requires_grad_(False)

    def __iter__(self) -> Iterator[str]:
        return iter(self.widths)

    def __len__(self) -> int:
        return len(self.widths)

    def path(self, layer: str) -> Path:
        """Where the SAE of a layer lies."""
        return self.folder / f"{layer}.safetensors"


@dataclass(frozen=True)
class Training:
    """What the SAEs of a run are made of."""

    source: ActivationStore | OnlineActivations
    sae: SAEConfig
    train: TrainConfig

    @property
    def settings(self) -> dict[str, Any]:
        """What decides the SAEs, labels not among it: when this is unchanged, they need no training."""
        manifest = self.source.manifest.content
        return {"store": manifest, "sae": asdict(self.sae), "train": asdict(self.train)}


def train_saes(
    folder: Path, training: Training, accelerator: Accelerator, layers_at_once: int | None = None
) -> SavedBank:
    """The SAEs of all layers in the folder of a run; those that are not there yet are trained, in groups."""
    layers = training.source.layers
    bank = SavedBank(folder / "saes", dict(layers), training.sae)
    records = {name: Record(bank.path(name), training.settings) for name in layers}
    missing = first_says([name for name, record in records.items() if not record.done()])
    size = layers_at_once or len(layers)
    for first in range(0, len(missing), size):
        _train_group(folder / "training", missing[first : first + size], training, records, accelerator)
    if missing and accelerator.is_main_process:
        _join_summaries(folder / "training", training)
    accelerator.wait_for_everyone()
    return bank


def _train_group(
    folder: Path, group: list[str], training: Training, records: dict[str, Record], accelerator: Accelerator
) -> None:
    """Train some layers together and save each; its checkpoint goes when they are saved."""
    checkpoint = folder / f"{group[0]}-{group[-1]}"
    saes = train_bank(
        training.source,
        training.sae,
        training.train,
        layers=group,
        accelerator=accelerator,
        progress=accelerator.is_main_process,
        checkpoint=checkpoint,
    )
    if accelerator.is_main_process:
        for name, sae in saes.items():
            with records[name].renewed(), atomic_path(records[name].result) as temporary:
                save_file(sae.state_dict(), temporary)
        for state in checkpoint.glob("process_*"):
            remove(state)  # no longer needed, and another run here would find it to be of other settings
    accelerator.wait_for_everyone()
    remove(checkpoint / f"process_{accelerator.process_index}_of_{accelerator.num_processes}")  # on a disk of its own


def _join_summaries(folder: Path, training: Training) -> None:
    """One summary in place of those of the groups; layers that were not trained again keep their curves."""
    settings = json.loads(json.dumps(training.settings | {"layers": list(training.source.layers)}))
    parts = [folder / "summary.json", *sorted(folder.glob("*/summary.json"))]
    read = [json.loads(path.read_text(encoding="utf-8")) for path in parts if path.is_file()]
    same = [part for part in read if part["settings"] | {"layers": settings["layers"]} == settings]
    points = merged_points(point for part in same for point in part["history"])
    write_summary(folder, settings, points, off_targets(points, training.sae.target))
    for group in folder.iterdir():
        if group.is_dir():
            remove(group)
