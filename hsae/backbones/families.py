"""What transformers' vision models have in common and where they differ: one row per family."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hsae.backbones.maps import require_square, square_side


@dataclass(frozen=True)
class Transformer:
    """Where one family of vision transformers keeps its parts."""

    model: str
    """Class in transformers; of models with a text tower, the vision tower alone."""
    blocks: str
    """Attribute path of the list of blocks."""
    example: str
    """A Hub id."""
    n_prefix: Callable[[Any], int]
    """Class token, distillation token and registers, from the model's config."""
    embed: Callable[[Any, Tensor], Tensor]
    """The model, whose parts are those of its class alone, and pixels to the tokens that enter the first block."""
    block_options: Callable[[Any, Tensor], dict[str, Any]] = lambda model, tokens: {}
    """What else a block is called with."""
    load_options: Mapping[str, Any] = field(default_factory=dict)
    """What else the model is loaded with."""


@dataclass(frozen=True)
class ConvNet:
    """Where one family of CNNs keeps its parts, each `stages[i]` following `stem`."""

    model: str
    stem: str
    stages: str
    example: str
    widths: Callable[[Any], list[int]]
    """Channels after the stem and after each stage, from the model's config."""
    strides: Callable[[Any], list[int]]
    """By how much the stem and each stage divide the image's size."""
    rounds_up: bool
    """Whether a stage of stride s turns n rows into ceil(n / s), and not into floor(n / s)."""
    load_options: Mapping[str, Any] = field(default_factory=dict)


def _with_class_token(config: Any) -> int:
    return 1


def _with_registers(config: Any) -> int:
    return 1 + config.num_register_tokens


def _any_size(model: Any, pixels: Tensor) -> Tensor:
    """Embeddings whose position part is interpolated where the image has another size than in training."""
    return model.embeddings(pixels, interpolate_pos_encoding=True)


def _clip_embed(model: Any, pixels: Tensor) -> Tensor:
    return model.pre_layrnorm(_any_size(model, pixels))


def _no_mask(model: Any, tokens: Tensor) -> dict[str, Any]:
    return {"attention_mask": None}


def _whole_image_embed(model: Any, pixels: Tensor) -> Tensor:
    """MAE's embedding of all patches in their order: its own forward drops most of them and shuffles the rest."""
    parts = model.embeddings
    patches = parts.patch_embeddings(pixels)
    positions = parts.interpolate_pos_encoding(patches, *pixels.shape[-2:])
    cls = (parts.cls_token + positions[:, :1]).expand(len(patches), -1, -1)
    return torch.cat([cls, patches + positions[:, 1:]], 1)


def _square_embed(model: Any, pixels: Tensor) -> Tensor:
    require_square(pixels)
    return model.embeddings(pixels)


def _rotary(model: Any, tokens: Tensor) -> dict[str, Any]:
    """Rotary position embeddings, which blocks get anew: of a square image with as many patches as there are tokens."""
    config = model.config
    side = square_side(tokens.shape[1] - _with_registers(config)) * config.patch_size
    return {"position_embeddings": model.rope_embeddings(tokens.new_empty(1).expand(1, 3, side, side))}


def _plain_embed(model: Any, pixels: Tensor) -> Tensor:
    return model.embeddings(pixels)


_CLIP = Transformer(
    "CLIPVisionModel", "encoder.layers", "openai/clip-vit-base-patch32", _with_class_token, _clip_embed, _no_mask
)
_SIGLIP = Transformer(
    "SiglipVisionModel", "encoder.layers", "google/siglip-base-patch16-224", lambda config: 0, _any_size, _no_mask
)
_NO_POOLER = {"add_pooling_layer": False}

TRANSFORMERS: dict[str, Transformer] = {
    "clip": _CLIP,
    "clip_vision_model": _CLIP,
    "deit": Transformer(
        "DeiTModel",
        "layers",
        "facebook/deit-base-distilled-patch16-224",
        lambda config: 2,
        _any_size,
        load_options=_NO_POOLER,
    ),
    "dinov2": Transformer("Dinov2Model", "encoder.layer", "facebook/dinov2-small", _with_class_token, _plain_embed),
    "dinov2_with_registers": Transformer(
        "Dinov2WithRegistersModel",
        "encoder.layer",
        "facebook/dinov2-with-registers-small",
        _with_registers,
        _plain_embed,
    ),
    "dinov3_vit": Transformer(
        "DINOv3ViTModel",
        "model.layer",
        "facebook/dinov3-vits16-pretrain-lvd1689m",
        _with_registers,
        _square_embed,
        _rotary,
    ),
    "siglip": _SIGLIP,
    "siglip_vision_model": _SIGLIP,
    "vit": Transformer(
        "ViTModel",
        "layers",
        "google/vit-base-patch16-224",
        _with_class_token,
        _any_size,
        load_options=_NO_POOLER,
    ),
    "vit_mae": Transformer("ViTMAEModel", "layers", "facebook/vit-mae-base", _with_class_token, _whole_image_embed),
}

CONVNETS: dict[str, ConvNet] = {
    "convnext": ConvNet(
        "ConvNextModel",
        "embeddings",
        "encoder.stages",
        "facebook/convnext-tiny-224",
        widths=lambda config: [config.hidden_sizes[0], *config.hidden_sizes],
        strides=lambda config: [config.patch_size, 1] + [2] * (len(config.hidden_sizes) - 1),
        rounds_up=False,
    ),
    "resnet": ConvNet(
        "ResNetModel",
        "embedder",
        "encoder.stages",
        "microsoft/resnet-50",
        widths=lambda config: [config.embedding_size, *config.hidden_sizes],
        strides=lambda config: [4, 1 + config.downsample_in_first_stage] + [2] * (len(config.hidden_sizes) - 1),
        rounds_up=True,
    ),
}

FAMILIES: dict[str, Transformer | ConvNet] = TRANSFORMERS | CONVNETS
