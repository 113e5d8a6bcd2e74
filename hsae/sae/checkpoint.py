"""Training that survives being killed: one safetensors file per process, replaced atomically.

    CHECKPOINT/process_0_of_1/state.safetensors    its layers' tensors; settings, step, history; the sha256 of all
    CHECKPOINT/process_0_of_2/before.safetensors   the state before it, where processes share every batch

Processes that share every batch go on from the newest state that all of them have: one may be killed before it has
written what the others have. They are never further apart than one checkpoint, so two states are enough.

The order of the tokens follows from seed and epoch, so weights, optimiser moments and the step are all there is to
keep.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
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

    def __init__(
        self, folder: Path | None, settings: dict[str, Any], rank: int = 0, of: int = 1, shared: bool = False
    ) -> None:
        """shared: whether all processes call `load` and `save` together, since they share every batch."""
        self.path = Path(folder) / f"process_{rank}_of_{of}" / "state.safetensors" if folder else None
        self.before = self.path.with_name("before.safetensors") if self.path and shared else None
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
            if self.before and self.path.exists():
                self.path.replace(self.before)
            write_sealed(self.path, tensors, record)
        except WriteError as error:
            do = "Make room and run the same command again: it goes on from the checkpoint before."
            raise TrainingError(f"The checkpoint {error.got}", error.expected, do) from error

    def load(self, layers: list[LayerTraining]) -> Progress:
        """Restore the layers and say how far they are; TrainingError for a damaged one or another run's."""
        path = self._agreed()
        if path is None:
            return Progress()
        with _opened(path) as file:
            record = read_stated(file)
            self._check(record["settings"])
            for layer in layers:
                layer.load({key: read_tensor(file, f"{layer.name}/{key}") for key in layer.state()})
        return Progress(record["step"], record["history"])

    def _agreed(self) -> Path | None:
        """The newest state that all processes have which share every batch; None without one."""
        there = [path for path in (self.path, self.before) if path and path.exists()]
        if self.before is None:
            return there[0] if there else None
        from accelerate.utils import gather_object

        steps = {_step_of(path): path for path in there}
        common = set.intersection(*map(set, gather_object([list(steps)])))
        return steps[max(common)] if common else None

    def _check(self, there: dict[str, Any]) -> None:
        different = _differences(there, self.settings)
        if different:
            raise TrainingError(
                f"The checkpoint {self.path} belongs to another run: different {', '.join(different)}",
                "the same store, layers and settings",
                "Choose another folder, or delete it to start again.",
            )


@contextmanager
def _opened(path: Path) -> Iterator[safe_open]:
    """An open checkpoint; TrainingError when what is done with it shows that it is damaged."""
    try:
        with safe_open(path, "pt") as file:
            yield file
    except (SafetensorError, OSError, TypeError, KeyError, ValueError, RuntimeError) as error:
        raise TrainingError(
            f"The checkpoint {path} is damaged: {error}", "a whole checkpoint", "Delete it to start again."
        ) from error


def _step_of(path: Path) -> int:
    with _opened(path) as file:
        return read_stated(file)["step"]


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
