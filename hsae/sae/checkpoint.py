"""Training that survives being killed: one safetensors file per process, replaced atomically.

    CHECKPOINT/process_0_of_1/state.safetensors    its layers' tensors; settings, step, history; the sha256 of all

The order of the tokens follows from seed and epoch, so weights, optimiser moments and the step are all there is to
keep.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from hsae.atomic import sweep
from hsae.errors import TrainingError, WriteError
from hsae.sae.layer import LayerTraining
from hsae.tensor_files import read_stated, read_tensor, write_sealed


@dataclass
class Progress:
    """How far training is: `step` steps are done; `history` holds a measured point every few steps."""

    step: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)


class Checkpoint:
    """Saves and restores the layers of one process; without a folder it does nothing."""

    def __init__(self, folder: Path | None, settings: dict[str, Any], rank: int = 0, of: int = 1) -> None:
        self.path = Path(folder) / f"process_{rank}_of_{of}" / "state.safetensors" if folder else None
        self.settings = json.loads(json.dumps(settings))
        if self.path:
            sweep(self.path.parent)

    def save(self, layers: list[LayerTraining], progress: Progress) -> None:
        """Replace the checkpoint; TrainingError when it cannot be written, and the one before it stays."""
        if not self.path:
            return
        tensors = {f"{layer.name}/{key}": _plain(t) for layer in layers for key, t in layer.state().items()}
        record = {"settings": self.settings, "step": progress.step, "history": progress.history}
        try:
            write_sealed(self.path, tensors, record)
        except WriteError as error:
            do = "Make room and run the same command again: it goes on from the checkpoint before."
            raise TrainingError(f"The checkpoint {error.got}", error.expected, do) from error

    def load(self, layers: list[LayerTraining]) -> Progress:
        """Restore the layers and say how far they are; TrainingError for a damaged one or another run's."""
        if not self.path or not self.path.exists():
            return Progress()
        try:
            with safe_open(self.path, "pt") as file:
                record = read_stated(file)
                self._check(record["settings"])
                for layer in layers:
                    layer.load({key: read_tensor(file, f"{layer.name}/{key}") for key in layer.state()})
        except (SafetensorError, OSError, TypeError, KeyError, ValueError, RuntimeError) as error:
            raise TrainingError(
                f"The checkpoint {self.path} is damaged: {error}", "a whole checkpoint", "Delete it to start again."
            ) from error
        return Progress(record["step"], record["history"])

    def _check(self, there: dict[str, Any]) -> None:
        different = _differences(there, self.settings)
        if different:
            raise TrainingError(
                f"The checkpoint {self.path} belongs to another run: different {', '.join(different)}",
                "the same store, layers and settings",
                "Choose another folder, or delete it to start again.",
            )


def _differences(there: dict[str, Any], wanted: dict[str, Any]) -> list[str]:
    """Where two trees of settings differ: "train.lr", "store.backbone.id"."""
    different = []
    for key, value in wanted.items():
        other = there.get(key)
        if isinstance(value, dict) and isinstance(other, dict):
            different += [f"{key}.{within}" for within in _differences(other, value)]
        elif other != value:
            different.append(key)
    return different


def _plain(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", memory_format=torch.contiguous_format).contiguous()
