"""EfficientNet-Lite, a CNN of seven stages of inverted bottlenecks (Tan & Le 2019, arXiv 1905.11946).

The lite form has ReLU6 in place of swish and no squeeze-and-excitation. Convolutions pad as TensorFlow's "SAME":
a stage of stride 2 turns n rows into ceil(n / 2).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from math import ceil
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from hsae.backbones.base import LayerSpec, Preprocessing
from hsae.backbones.classifier import Classifier
from hsae.backbones.maps import MapBackbone, channel_output, require_square
from hsae.data.known_classes import known_classes

Stage = tuple[int, int, int, int, int]
"""Blocks, kernel, stride, expansion, width."""
STAGES: tuple[Stage, ...] = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
"""Of Lite0."""
STEM_WIDTH, HEAD_WIDTH, N_CLASSES = 32, 1280, 1000


def scaled_stages(width: float, depth: float) -> tuple[Stage, ...]:
    """Those of a larger model: `depth` times the blocks, rounded up, but in the first and last; `width` times the
    channels, to the nearest multiple of 8. Stem and head stay as they are in the lite form.
    """
    last = len(STAGES) - 1
    return tuple(
        (blocks if at in (0, last) else ceil(blocks * depth), kernel, stride, expansion, _to_eights(channels * width))
        for at, (blocks, kernel, stride, expansion, channels) in enumerate(STAGES)
    )


def _to_eights(channels: float) -> int:
    """Nearest multiple of 8, up when it would lose more than a tenth."""
    near = max(8, int(channels + 4) // 8 * 8)
    return near + 8 if near < 0.9 * channels else near


class ConvNorm(nn.Module):
    """Convolution without bias, batch norm, and ReLU6 where `activate`."""

    def __init__(
        self, d_in: int, d_out: int, kernel: int = 1, stride: int = 1, groups: int = 1, activate: bool = True
    ) -> None:
        super().__init__()
        padding = kernel // 2 if stride == 1 else 0  # with a stride it depends on the size
        self.conv = nn.Conv2d(d_in, d_out, kernel, stride, padding, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(d_out, eps=1e-3)
        self.activation = nn.ReLU6(inplace=True) if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        (kernel, _), (stride, _) = self.conv.kernel_size, self.conv.stride
        if stride > 1:
            rows, columns = (_same_padding(size, kernel, stride) for size in x.shape[-2:])
            x = pad(x, columns + rows)
        return self.activation(self.norm(self.conv(x)))


def _same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after, so that ceil(size / stride) places come out; the odd one stands after."""
    missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return missing // 2, missing - missing // 2


class InvertedBottleneck(nn.Module):
    """Widen, filter each channel, narrow; added to the input where shapes allow."""

    def __init__(self, d_in: int, d_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = d_in * expansion
        self.expand = ConvNorm(d_in, wide) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(wide, wide, kernel, stride, groups=wide)
        self.project = ConvNorm(wide, d_out, activate=False)
        self.residual = stride == 1 and d_in == d_out

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


def _stage(d_in: int, n_blocks: int, kernel: int, stride: int, expansion: int, d_out: int) -> nn.Sequential:
    first = InvertedBottleneck(d_in, d_out, kernel, stride, expansion)
    return nn.Sequential(first, *(InvertedBottleneck(d_out, d_out, kernel, 1, expansion) for _ in range(n_blocks - 1)))


class EfficientNetLite(nn.Module):
    """Pixels `[batch, 3, height, width]` to ImageNet logits `[batch, 1000]`."""

    def __init__(self, shape: tuple[Stage, ...] = STAGES) -> None:
        super().__init__()
        self.shape = shape
        widths = (STEM_WIDTH, *(row[-1] for row in shape))
        self.stem = ConvNorm(3, STEM_WIDTH, 3, 2)
        self.stages = nn.ModuleList(_stage(d_in, *row) for d_in, row in zip(widths, shape, strict=False))
        self.head = ConvNorm(widths[-1], HEAD_WIDTH)
        self.classifier = nn.Linear(HEAD_WIDTH, N_CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        x = self.stem(pixels)
        for stage in self.stages:
            x = stage(x)
        return self.classifier(self.head(x).mean((2, 3)))


class EfficientNetBackbone(MapBackbone):
    """A frozen EfficientNet-Lite; layers `stem`, `stage_1` .. `stage_7`, `head`."""

    model: EfficientNetLite

    def __init__(self, id: str, model: EfficientNetLite, preprocessing: Preprocessing) -> None:
        self.id, self.revision, self.preprocessing = id, None, preprocessing
        # Channels last is up to twice as fast, and makes tokens of a map without a copy.
        self.model = model.eval().requires_grad_(False)
        self.model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack this form
        self._parts: dict[str, nn.Module] = {"stem": model.stem}
        self._parts |= {f"stage_{number}": stage for number, stage in enumerate(model.stages, start=1)}
        self._parts |= {"head": model.head}
        widths = (STEM_WIDTH, *(row[-1] for row in model.shape), HEAD_WIDTH)
        self.layers = {name: LayerSpec(name, width, 0) for name, width in zip(self._parts, widths, strict=True)}
        strides = accumulate((2, *(row[2] for row in model.shape), 1), int.__mul__)
        self._reduction = dict(zip(self._parts, strides, strict=True))

    def embed(self, pixels: Tensor) -> Tensor:
        require_square(pixels)
        return pixels.contiguous(memory_format=torch.channels_last)

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        return dict(self._parts)

    def mlp_output(self, layer: str) -> Tensor | None:
        (name,) = self.layer_names([layer])
        blocks: Any = self._parts[name]
        return channel_output(blocks[-1].project.conv, blocks[-1].project.norm) if name.startswith("stage") else None

    @property
    def classifier(self) -> Classifier:
        classes = tuple(wnid for _, wnid in known_classes("imagenet-1k"))
        return Classifier(classes, lambda tokens: self.model.classifier(tokens.mean(1)))

    def grid(self, layer: str, height: int, width: int) -> tuple[int, int]:
        (name,) = self.layer_names([layer])
        reduction = self._reduction[name]
        return -(-height // reduction), -(-width // reduction)
