"""Where in a photograph a latent of patches fires, from activations that are there already."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.backbones.base import Backbone, Token
from hsae.backbones.places import patch_grid
from hsae.relevancy.explain import segments_of
from hsae.relevancy.maps import RelevancyMap
from hsae.sae.model import SparseAutoencoder


@dataclass(frozen=True, eq=False)
class LatentAt:
    """A latent of an SAE at a layer of a backbone."""

    backbone: Backbone
    sae: SparseAutoencoder
    layer: str
    latent: int
    token: Token


@dataclass(frozen=True, eq=False)
class Encoded:
    """All latents at all patches of an image."""

    pre: Tensor
    """Pre-activations `[patches, d_sae]`."""
    values: Tensor
    """`[patches, d_sae]`."""
    segments: NDArray[np.int64] | None
    """As `RelevancyMap` has them."""


@torch.no_grad()
def encoded(at: LatentAt, activations: Tensor, pixels: Tensor) -> Encoded:
    """What the SAE makes of an image's activations at the layer, `[1, tokens, d_in]`; the same for all its latents.

    pixels `[1, 3, height, width]`: what the activations come from.
    """
    pre = at.sae.pre_activation(at.backbone.select_token(activations, at.layer, "patch")[0])
    return Encoded(pre, at.sae.activate(pre), segments_of(at.backbone, pixels, at.layer))


def activation_map(at: LatentAt, image: Encoded) -> RelevancyMap:
    """The latent's value at each patch, 0 where it is silent: the natural map of an SAE of patches."""
    values = image.values[:, at.latent].float().cpu().numpy().reshape(patch_grid(at.backbone, at.layer))
    return RelevancyMap(values, "activation", at.layer, image.pre[:, at.latent].max().item(), image.segments)
