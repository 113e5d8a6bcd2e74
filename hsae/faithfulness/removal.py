"""Remove patches from an image and read a target again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from hsae.backbones.base import Backbone
from hsae.errors import InputError
from hsae.relevancy.targets import Target

Baseline = Literal["blur", "mean", "mask"]
"""What replaces a removed patch: the blurred image, its mean colour, or the mask token a ViT was trained with."""

BLUR = 1 / 8  # standard deviation, as a share of the image's side: at least one patch of every backbone
BATCH = 32


@torch.inference_mode()
def read_without(
    backbone: Backbone,
    targets: Sequence[Target],
    pixels: Tensor,
    layer: str,
    removed: np.ndarray,
    baseline: Baseline = "blur",
) -> np.ndarray:
    """Targets' values for each of n ways to remove patches, `[targets, n]`; n + 1 passes up to `layer`, in batches.

    pixels `[1, 3, height, width]`; removed: bool `[n, patches]`. A target reads the same token in all of them:
    the strongest patch of `token="patch"` is that of the whole image. InputError for an unknown baseline, and for
    `mask` when the backbone has no mask token.
    """
    whole = backbone.run_pixels(pixels, [layer])[layer]
    weights = [target.weights(whole) for target in targets]
    run = _run_masked(backbone, pixels, layer) if baseline == "mask" else _run_filled(backbone, pixels, layer, baseline)
    values = []
    for part in torch.from_numpy(removed).to(pixels.device).split(BATCH):
        tokens = run(part)
        read = [t.read(tokens, w.expand(len(part), -1)) for t, w in zip(targets, weights, strict=True)]
        values.append(torch.stack(read))
    return torch.cat(values, 1).float().cpu().numpy()


def _run_masked(backbone: Backbone, pixels: Tensor, layer: str) -> Callable[[Tensor], Tensor]:
    """From removed patches `[n, patches]` to activations `[n, tokens, d_in]`."""
    return lambda removed: backbone.run_masked(pixels.expand(len(removed), -1, -1, -1), removed, [layer])[layer]


def _run_filled(backbone: Backbone, pixels: Tensor, layer: str, baseline: Baseline) -> Callable[[Tensor], Tensor]:
    """The same by changing the pixels that belong to a removed patch; those that belong to none always stay."""
    places, replacement = backbone.token_map(backbone.map_layer(layer), pixels), replacement_pixels(pixels, baseline)

    def run(removed: Tensor) -> Tensor:
        kept = torch.zeros(len(removed), 1, dtype=torch.bool, device=removed.device)
        area = torch.cat([removed, kept], 1)[:, places.flatten()].unflatten(1, places.shape)
        return backbone.run_pixels(torch.where(area[:, None], replacement, pixels), [layer])[layer]

    return run


def replacement_pixels(pixels: Tensor, baseline: Baseline) -> Tensor:
    """Pixels that replace those of removed patches, broadcastable to `pixels`."""
    if baseline == "mean":
        return pixels.mean((2, 3), keepdim=True)
    if baseline == "blur":
        return blur(pixels)
    raise InputError(f"baseline {baseline!r}", "blur, mean or mask")


def blur(pixels: Tensor, share: float = BLUR) -> Tensor:
    """Gaussian blur of `[batch, 3, height, width]` whose standard deviation is `share` of the shorter side."""
    sigma = share * min(pixels.shape[-2:])
    radius = int(3 * sigma)
    radius = min(radius, min(pixels.shape[-2:]) - 1)  # a reflection shows every pixel at most twice
    steps = torch.arange(-radius, radius + 1, dtype=pixels.dtype, device=pixels.device)
    kernel = torch.softmax(-(steps**2) / (2 * sigma**2), 0)
    padded = pad(pixels, (radius,) * 4, mode="reflect")
    rows = conv2d(padded, kernel.view(1, 1, -1, 1).expand(3, -1, -1, -1), groups=3)
    return conv2d(rows, kernel.view(1, 1, 1, -1).expand(3, -1, -1, -1), groups=3)
