"""Backbones of transformers with random weights, made from settings alone: no weights are read or downloaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

from hsae.backbones.base import Preprocessing
from hsae.backbones.clip_resnet import MEAN, STD
from hsae.backbones.families import FAMILIES, TRANSFORMERS
from hsae.backbones.heads import HEADS
from hsae.backbones.hf import HFBackbone, HFConvNet, family_of
from hsae.backbones.hf_pixels import Colour, read_preprocessing
from hsae.backbones.hub import settled

HALF: Colour = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Architecture:
    """A published model: its type, where its settings differ from transformers' defaults, and how it scales pixels."""

    model_type: str
    settings: dict[str, Any] = field(default_factory=dict)
    mean: Colour = Preprocessing.mean
    std: Colour = Preprocessing.std


def _vit(width: int, blocks: int, heads: int, patch: int, image: int, **more: Any) -> dict[str, Any]:
    shape = {"hidden_size": width, "num_hidden_layers": blocks, "num_attention_heads": heads}
    return shape | {"patch_size": patch, "image_size": image} | more


def _dinov2(width: int, blocks: int, heads: int, **more: Any) -> Architecture:
    return Architecture("dinov2", _vit(width, blocks, heads, 14, 518, **more))


def _clip(width: int, blocks: int, heads: int, patch: int, image: int = 224) -> Architecture:
    shape = _vit(width, blocks, heads, patch, image, intermediate_size=4 * width)
    return Architecture("clip_vision_model", shape, MEAN, STD)


def _plain(width: int, blocks: int, heads: int) -> Architecture:
    return Architecture("vit", _vit(width, blocks, heads, 16, 224, intermediate_size=4 * width), HALF, HALF)


KNOWN: dict[str, Architecture] = {
    "facebook/dinov2-small": _dinov2(384, 12, 6),
    "facebook/dinov2-base": _dinov2(768, 12, 12),
    "facebook/dinov2-large": _dinov2(1024, 24, 16),
    "facebook/dinov2-giant": _dinov2(1536, 40, 24, use_swiglu_ffn=True),
    "dinov2-small-focus": _dinov2(384, 12, 6, use_mask_token=False),
    "openai/clip-vit-base-patch32": _clip(768, 12, 12, 32),
    "openai/clip-vit-base-patch16": _clip(768, 12, 12, 16),
    "openai/clip-vit-large-patch14": _clip(1024, 24, 16, 14),
    "openai/clip-vit-large-patch14-336": _clip(1024, 24, 16, 14, 336),
    "google/vit-base-patch16-224": _plain(768, 12, 12),
    "google/vit-large-patch16-224": _plain(1024, 24, 16),
    "google/siglip-base-patch16-224": Architecture("siglip_vision_model", {}, HALF, HALF),
    "google/siglip-so400m-patch14-384": Architecture(
        "siglip_vision_model", _vit(1152, 27, 16, 14, 384, intermediate_size=4304), HALF, HALF
    ),
}
"""By Hub id (or our own name): what is known of a model here, for machines that do not reach the Hub."""


def untrained_hf_backbone(
    id: str,
    *,
    revision: str | None = None,
    image_size: int = 224,
    device: str | torch.device = "cpu",
    dtype: torch.dtype = torch.float32,
) -> HFBackbone | HFConvNet:
    """The architecture of a Hub id or local folder with random weights, from its config.json or `KNOWN`.

    On the device "meta" it has shapes and no numbers. OSError and the like when the settings cannot be read.
    """
    config, preprocessing, commit = _described(id, image_size, revision)
    backbone = with_random_weights(
        f"{id}@random", _class_of(config), config, preprocessing, device=torch.device(device)
    )
    backbone.revision = commit
    if torch.device(device).type != "meta":
        backbone.cast(dtype)
    return backbone


def with_random_weights(
    id: str,
    kind: Any,
    config: PretrainedConfig,
    preprocessing: Preprocessing,
    *,
    seed: int = 0,
    device: torch.device | str = "cpu",
) -> HFBackbone | HFConvNet:
    """A model of class `kind` with weights drawn by transformers' own initialisation, the same ones for a seed."""
    device = torch.device(device)
    with torch.random.fork_rng(devices=[]), torch.device("meta" if device.type == "meta" else "cpu"):
        torch.manual_seed(seed)
        model: PreTrainedModel = kind(config)
    made = HFBackbone if config.model_type in TRANSFORMERS else HFConvNet
    backbone = made(id, model, preprocessing)
    backbone.model.to(device)
    return backbone


def _described(id: str, image_size: int, revision: str | None) -> tuple[PretrainedConfig, Preprocessing, str | None]:
    """Settings, preprocessing and commit: of `KNOWN` where nothing else was asked for, else as the files say."""
    known = KNOWN.get(id)
    if known and revision is None and not Path(id).is_dir():
        return _config_of(known), Preprocessing(image_size, known.mean, known.std), None
    hub: dict[str, Any] = {} if Path(id).is_dir() else {**settled(id, revision)}
    config = AutoConfig.from_pretrained(id, trust_remote_code=False, **hub)
    preprocessing = read_preprocessing(id, config, image_size, **hub)
    return getattr(config, "vision_config", config), preprocessing, hub.get("revision")


def _config_of(architecture: Architecture) -> PretrainedConfig:
    return AutoConfig.for_model(architecture.model_type, **architecture.settings)


def _class_of(config: PretrainedConfig) -> Any:
    """The class of transformers that the weights would be loaded into."""
    family = family_of(config.name_or_path or "this folder", config.model_type, FAMILIES)
    (architecture, *_) = config.architectures or [""]
    return getattr(transformers, architecture if architecture in HEADS else family.model)
