"""The ResNet of CLIP (Radford et al. 2021, arXiv 2103.00020), of any width and depth.

It differs from a plain ResNet in three ways: three convolutions make the stem, strides are means over 2 x 2 places
(in front of the shortcut's convolution, behind the block's second one), and attention pools the last map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from hsae.backbones.base import LayerSpec, Preprocessing
from hsae.backbones.maps import MapBackbone, channel_output, require_square
from hsae.backbones.weights import fill, under_prefix
from hsae.errors import InputError

EXPANSION, HEAD_WIDTH = 4, 64
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True)
class CLIPResNetShape:
    """What decides the tensors of a CLIP ResNet."""

    width: int
    """Of the stem; the four layers have 4, 8, 16 and 32 times as much."""
    depths: tuple[int, ...]
    """Blocks of each of the four layers."""
    side: int
    """Rows and columns of the last map, which the position embedding is for: image side / 32."""
    d_out: int
    """Of the embedding that CLIP compares with texts."""


RESNET_50 = CLIPResNetShape(width=64, depths=(3, 4, 6, 3), side=7, d_out=1024)
"""The shape of OpenAI's RN50."""


class Bottleneck(nn.Module):
    """Narrow, filter, widen, and add the input; names of the parts are those of the published checkpoints."""

    def __init__(self, d_in: int, d_mid: int, stride: int) -> None:
        super().__init__()
        d_out = d_mid * EXPANSION
        self.conv1, self.bn1 = nn.Conv2d(d_in, d_mid, 1, bias=False), nn.BatchNorm2d(d_mid)
        self.conv2, self.bn2 = nn.Conv2d(d_mid, d_mid, 3, padding=1, bias=False), nn.BatchNorm2d(d_mid)
        self.conv3, self.bn3 = nn.Conv2d(d_mid, d_out, 1, bias=False), nn.BatchNorm2d(d_out)
        self.shrink = nn.AvgPool2d(stride)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or d_in != d_out:
            self.downsample = nn.Sequential(nn.Conv2d(d_in, d_out, 1, bias=False), nn.BatchNorm2d(d_out))

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        y = self.bn2(self.conv2(y)).relu()
        y = self.bn3(self.conv3(self.shrink(y)))
        return (y + self.downsample(self.shrink(x))).relu()


class AttentionPool(nn.Module):
    """One attention layer over the places of a map and their mean, read at the mean: `[batch, d_out, 1, 1]`."""

    def __init__(self, d_in: int, side: int, d_out: int) -> None:
        super().__init__()
        self.positional_embedding = nn.Parameter(torch.zeros(side * side + 1, d_in))
        self.q_proj, self.k_proj, self.v_proj = (nn.Linear(d_in, d_in) for _ in range(3))
        self.c_proj = nn.Linear(d_in, d_out)

    def forward(self, x: Tensor) -> Tensor:
        places = x.flatten(2).transpose(1, 2)
        tokens = torch.cat([places.mean(1, keepdim=True), places], 1) + self.positional_embedding
        parts = (self.q_proj(tokens[:, :1]), self.k_proj(tokens), self.v_proj(tokens))
        query, key, value = (part.unflatten(-1, (-1, HEAD_WIDTH)).transpose(1, 2) for part in parts)
        mixed = scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        return self.c_proj(mixed).transpose(1, 2).unsqueeze(-1)


class CLIPResNet(nn.Module):
    """Pixels `[batch, 3, height, width]` to CLIP's image embedding `[batch, d_out, 1, 1]`, before it is normalised."""

    def __init__(self, shape: CLIPResNetShape) -> None:
        super().__init__()
        half, width = shape.width // 2, shape.width
        self.conv1, self.bn1 = nn.Conv2d(3, half, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv2, self.bn2 = nn.Conv2d(half, half, 3, padding=1, bias=False), nn.BatchNorm2d(half)
        self.conv3, self.bn3 = nn.Conv2d(half, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
        self.shrink = nn.AvgPool2d(2)
        mids = [width * 2**i for i in range(4)]
        ins = [width, *(mid * EXPANSION for mid in mids)]
        self.layer1, self.layer2, self.layer3, self.layer4 = (
            _layer(d_in, d_mid, depth, stride)
            for d_in, d_mid, depth, stride in zip(ins, mids, shape.depths, (1, 2, 2, 2), strict=False)
        )
        self.attnpool = AttentionPool(ins[-1], shape.side, shape.d_out)

    def stem(self, pixels: Tensor) -> Tensor:
        x = pixels
        for conv, norm in ((self.conv1, self.bn1), (self.conv2, self.bn2), (self.conv3, self.bn3)):
            x = norm(conv(x)).relu()
        return self.shrink(x)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.stem(pixels)
        return self.attnpool(self.layer4(self.layer3(self.layer2(self.layer1(x)))))


def _layer(d_in: int, d_mid: int, depth: int, stride: int) -> nn.Sequential:
    rest = (Bottleneck(d_mid * EXPANSION, d_mid, 1) for _ in range(depth - 1))
    return nn.Sequential(Bottleneck(d_in, d_mid, stride), *rest)


class CLIPResNetBackbone(MapBackbone):
    """A frozen CLIP ResNet; layers `stem`, `layer1` .. `layer4` are maps, `attnpool` is one token for the image."""

    def __init__(self, id: str, model: CLIPResNet, image_size: int) -> None:
        self.id, self.revision = id, None
        self.preprocessing = Preprocessing(image_size, MEAN, STD)
        self.model = model.eval().requires_grad_(False)
        self._parts = {"stem": model.stem} | {name: getattr(model, name) for name in ("layer1", "layer2", "layer3")}
        self._parts |= {"layer4": model.layer4, "attnpool": model.attnpool}
        width, d_out = model.conv3.out_channels, model.attnpool.c_proj.out_features
        widths = (width, *(width * EXPANSION * 2**i for i in range(4)), d_out)
        self.layers = {name: LayerSpec(name, d_in, 0) for name, d_in in zip(self._parts, widths, strict=True)}
        side = isqrt(len(model.attnpool.positional_embedding) - 1)
        if self.grid("layer4", image_size, image_size) != (side, side):
            raise InputError(f"image_size {image_size} for {id}", f"{32 * side}, the only size its attention pools")

    def embed(self, pixels: Tensor) -> Tensor:
        require_square(pixels)
        return pixels

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        return dict(self._parts)

    def grid(self, layer: str, height: int, width: int) -> tuple[int, int]:
        (name,) = self.layer_names([layer])
        if name == "attnpool":
            return 1, 1
        halvings = max(1, list(self.layers).index(name))
        rows, columns = ((size + 1) // 2 >> halvings for size in (height, width))
        return rows, columns

    def map_layer(self, layer: str) -> str:
        name = super().map_layer(layer)
        return "layer4" if name == "attnpool" else name

    def mlp_output(self, layer: str) -> Tensor | None:
        (name,) = self.layer_names([layer])
        blocks: Any = self._parts[name]
        return channel_output(blocks[-1].conv3, blocks[-1].bn3) if isinstance(blocks, nn.Sequential) else None


def resnet_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Those of the image tower in a checkpoint of OpenAI or open_clip; None when it has no CLIP ResNet."""
    return under_prefix(tensors, ("visual.", "module.visual.", ""), "attnpool.positional_embedding")


def shape_of(tensors: Mapping[str, Tensor]) -> CLIPResNetShape:
    """Read off the tensors of an image tower."""
    depths = (sum(f"layer{i}.{j}.conv1.weight" in tensors for j in range(len(tensors))) for i in range(1, 5))
    return CLIPResNetShape(
        width=len(tensors["conv3.weight"]),
        depths=tuple(depths),
        side=isqrt(len(tensors["attnpool.positional_embedding"]) - 1),
        d_out=len(tensors["attnpool.c_proj.weight"]),
    )


def resnet_from_tensors(id: str, tensors: Mapping[str, Tensor], image_size: int) -> CLIPResNetBackbone:
    """The backbone that an image tower's tensors are the weights of."""
    model = CLIPResNet(shape_of(tensors))
    fill(id, model, tensors)
    return CLIPResNetBackbone(id, model, image_size)
