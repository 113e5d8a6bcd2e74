"""Tensors in a checkpoint file, read without running anything that it may hold."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from hsae.errors import BackboneError

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin", ".tar")
PREFERRED = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
UNUSED = "num_batches_tracked"  # of batch norms: counts training steps, and plays no part afterwards


def weights_file(path: Path) -> Path | None:
    """The one checkpoint that `path` is or holds; None when it is something else, such as a folder of transformers'."""
    if path.is_file():
        return path
    config = path / "config.json"
    if not path.is_dir() or (config.is_file() and b'"model_type"' in config.read_bytes()):
        return None
    preferred = [path / name for name in PREFERRED if (path / name).is_file()]
    if preferred or config.exists():
        return next(iter(preferred), None)
    checkpoints = [file for file in path.iterdir() if file.suffix in SUFFIXES]
    return checkpoints[0] if len(checkpoints) == 1 else None


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The named tensors of a safetensors file or of a state dict written by `torch.save`; BackboneError otherwise."""
    try:
        contents: object = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from error
    if isinstance(contents, dict):
        contents = contents.get("state_dict", contents)
    named = contents.items() if isinstance(contents, dict) else ()
    tensors = {name: value for name, value in named if isinstance(name, str) and isinstance(value, Tensor)}
    if not tensors:
        raise BackboneError(f"{path} holds no named tensors", "a checkpoint with a model's weights")
    return tensors


def _unpickled(path: Path) -> Any:
    if _is_torchscript(path):
        command = f'import torch; torch.save(torch.jit.load("{path.name}", "cpu").state_dict(), "weights.pt")'
        raise BackboneError(
            f"{path} is a TorchScript program, which only running it can open",
            "weights alone: safetensors, or a state dict",
            f"If you trust the file, convert it once with python -c '{command}', and load weights.pt.",
        )
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged bytes make it raise almost anything
        raise _unreadable(path, error) from error


def _is_torchscript(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("/constants.pkl") for name in archive.namelist())


def _unreadable(path: Path, error: Exception) -> BackboneError:
    why = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return BackboneError(
        f"{path} could not be loaded: {why}", "a checkpoint that holds nothing but tensors", "Download it again."
    )


def under_prefix(tensors: Mapping[str, Tensor], prefixes: Sequence[str], mark: str) -> dict[str, Tensor] | None:
    """The tensors below the first prefix that has one called `mark`, without the prefix; None when none has."""
    for prefix in prefixes:
        if prefix + mark in tensors:
            return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
    return None


def fill(id: str, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy the tensors of checkpoint `id` into a model as float32, those that it has a place for.

    Half-precision files and others of the same numbers give the same fingerprint. BackboneError when some are missing.
    """
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items() if not name.endswith(UNUSED)}
    wrong = sorted(name for name, shape in wanted.items() if name not in tensors or tensors[name].shape != shape)
    if wrong:
        raise BackboneError(
            f"{id} lacks {len(wrong)} tensors, or has them in another shape, first {', '.join(wrong[:3])}",
            f"all weights of a {type(model).__name__}",
            "Download the model again.",
        )
    model.load_state_dict({name: tensors[name] for name in wanted}, strict=False)
