"""Photographs that show what a latent fires for, and at which patches of them it does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import torch
from PIL import Image
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.data.starter_photos import starter_image, starter_rows
from hsae.relevancy.latent_map import LatentAt, activation_map, encoded
from hsae.relevancy.maps import RelevancyMap

_PHOTOS_KEPT = 64


@dataclass(frozen=True, eq=False)
class Example:
    """A starter photograph on which a latent is strong."""

    key: str
    activation: float
    """The latent's value there, for patches its largest, in units of the activations."""
    crop: Image.Image
    """The square of the photograph that the backbone sees."""
    map: RelevancyMap | None
    """Where it fires; None for an SAE that does not read patches."""


def examples(at: LatentAt, strongest: Sequence[tuple[str, float]], layers: tuple[str, ...]) -> Iterator[Example]:
    """The photographs of a list of (starter key, activation), in its order; keys that are none are left out.

    layers: those to keep of the one forward pass that a photograph costs when it is first asked for.
    """
    for key, activation in strongest:
        if key not in starter_rows():
            continue
        if at.token != "patch":
            yield Example(key, activation, at.backbone.preprocessing.crop(starter_image(key)), None)
            continue
        crop, pixels, found = _looked_at(at.backbone, layers, key)
        yield Example(key, activation, crop, activation_map(at, encoded(at, found[at.layer], pixels)))


@lru_cache(maxsize=_PHOTOS_KEPT)
def _looked_at(backbone: Backbone, layers: tuple[str, ...], key: str) -> tuple[Image.Image, Tensor, dict[str, Tensor]]:
    """A starter photograph as the backbone sees it, its pixels and its activations; 0.4 MB per layer for DINOv2-S."""
    crop = backbone.preprocessing.crop(starter_image(key))
    pixels = backbone.pixels([crop])
    with torch.no_grad():
        return crop, pixels, backbone.run_pixels(pixels, layers)
