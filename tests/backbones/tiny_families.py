"""A small random model of every family of transformers models, with attention far from uniform."""

from __future__ import annotations

import torch
from torch import nn

SIDE, PATCH, WIDTH = 56, 14, 32
BLOCKS = ["block_01", "block_02", "block_03"]
STAGES = ["stem", "stage_1", "stage_2", "stage_3"]
PREFIX = {
    "clip": 1,
    "deit": 2,
    "dinov2": 1,
    "dinov2 swiglu": 1,
    "dinov2_with_registers": 4,
    "dinov3_vit": 4,
    "dinov3_vit gated": 4,
    "siglip": 0,
    "vit": 1,
    "vit_mae": 1,
}
"""Tokens before the patches."""
CONVNETS = {
    "convnext": [8, 8, 12, 16],
    "resnet": [8, 16, 24, 32],
    "resnet basic": [8, 16, 24, 32],
}
"""Widths of the stem and the stages."""

_VIT = {"hidden_size": WIDTH, "num_hidden_layers": 3, "num_attention_heads": 4, "image_size": SIDE, "patch_size": PATCH}
_VIT |= {"intermediate_size": 48, "initializer_range": 0.3}
_DINO = {name: value for name, value in _VIT.items() if name != "intermediate_size"} | {"mlp_ratio": 2}
_RESNET = {"embedding_size": 8, "hidden_sizes": [16, 24, 32], "depths": [1, 2, 1]}
_TRANSFORMERS = {
    "clip": ("CLIPVision", _VIT),
    "deit": ("DeiT", _VIT),
    "dinov2": ("Dinov2", _DINO),
    "dinov2 swiglu": ("Dinov2", _DINO | {"use_swiglu_ffn": True}),
    "dinov2_with_registers": ("Dinov2WithRegisters", _DINO | {"num_register_tokens": 3}),
    "dinov3_vit": ("DINOv3ViT", _VIT | {"num_register_tokens": 3}),
    "dinov3_vit gated": ("DINOv3ViT", _VIT | {"num_register_tokens": 3, "use_gated_mlp": True}),
    "siglip": ("SiglipVision", _VIT),
    "vit": ("ViT", _VIT),
    "vit_mae": ("ViTMAE", _VIT | {"mask_ratio": 0.0}),
    "convnext": ("ConvNext", {"hidden_sizes": [8, 12, 16], "depths": [1, 2, 1], "num_stages": 3}),
    "resnet": ("ResNet", _RESNET),
    "resnet basic": ("ResNet", _RESNET | {"layer_type": "basic"}),
}


def tiny_family(family: str, head: str = "", **options) -> nn.Module:
    """A model with seeded weights; `head`: what follows the family in the class's name, e.g. ForImageClassification."""
    import transformers

    name, shape = _TRANSFORMERS[family]
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**shape, **options)
    model = getattr(transformers, f"{name}{head or 'Model'}")(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)  # initial values such as 0 and 1 would hide mistakes
    return model


def tiny_pixels(size: int = SIDE, batch: int = 2) -> torch.Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(size))
