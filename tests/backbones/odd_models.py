"""Tiny models outside transformers, with weights and statistics far from their initial ones."""

import torch
from torch import nn

from hsae.backbones.base import Preprocessing
from hsae.backbones.cast import CASTBackbone
from hsae.backbones.cast_model import CAST, CASTShape
from hsae.backbones.clip_resnet import CLIPResNet, CLIPResNetBackbone, CLIPResNetShape

RESNET_SIDE, CAST_SIDE = 64, 64
RESNET_SHAPE = CLIPResNetShape(width=4, depths=(2, 1, 3, 1), side=2, d_out=24)
CAST_SHAPE = CASTShape(width=24, depths=(2, 1, 1, 2), n_places=64, hidden=40, clusters=(7, 5, 3, 2), n_heads=3)


def randomised(model: nn.Module, seed: int = 0) -> nn.Module:
    """Every weight and running mean random, every running variance and batch-norm scale between a half and two."""
    generator = torch.Generator().manual_seed(seed)
    scales = {f"{name}.weight" for name, part in model.named_modules() if isinstance(part, nn.BatchNorm2d)}
    with torch.no_grad():
        for name, tensor in model.state_dict().items():
            if name in scales or name.endswith("running_var"):
                tensor.copy_(0.5 + 1.5 * torch.rand(tensor.shape, generator=generator))
            elif tensor.is_floating_point():
                fan_in = tensor[0].numel() if tensor.ndim > 1 and "embed" not in name and "token" not in name else 4
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * fan_in**-0.5)
    return model.eval()


def tiny_clip_resnet(seed: int = 0) -> CLIPResNetBackbone:
    return CLIPResNetBackbone("tiny", randomised(CLIPResNet(RESNET_SHAPE), seed), RESNET_SIDE)


def tiny_cast(seed: int = 0) -> CASTBackbone:
    """16 superpixels that become 7, 5, 3 and 2 segments."""
    return CASTBackbone("tiny", randomised(CAST(CAST_SHAPE), seed), CAST_SIDE)


def noise(side: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    """Pixels of an 8-bit image with large patches of one colour, and noise on top."""
    generator = torch.Generator().manual_seed(seed)
    patches = 255 * torch.rand(batch, 3, 5, 5, generator=generator)
    smooth = nn.functional.interpolate(patches, size=(side, side), mode="nearest")
    image = (smooth + 20 * torch.randn(batch, 3, side, side, generator=generator)).clamp(0, 255).round()
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (Preprocessing().mean, Preprocessing().std))
    return (image / 255 - mean) / std
