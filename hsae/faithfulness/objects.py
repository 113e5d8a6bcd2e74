"""Do latents of patches fire on objects? On cut-outs pasted on photographs, and on the foregrounds of photographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.backbones.focus_mask import LAST, THRESHOLD, saliency
from hsae.data.samples import load_samples
from hsae.faithfulness.localisation import HALF
from hsae.faithfulness.scenes import Scene, coverage, paste, scenes
from hsae.measures.places import pointing, share_inside
from hsae.sae.model import SparseAutoencoder

_IMAGES = 16  # at once


@dataclass(frozen=True, eq=False)
class Masked:
    """Pictures in which it is known where an object is, as a backbone sees them."""

    x: dict[str, Tensor]
    """Activations by layer, `[pictures, patches, d_in]`."""
    inside: Tensor
    """Which patches belong to the object, bool `[pictures, patches]`."""

    @property
    def chance(self) -> float:
        """Share in [0, 1] of the patches that belong to objects."""
        return float(self.inside.float().mean())

    def precision(self, sae: SparseAutoencoder, layer: str) -> np.ndarray:
        """`measures.places.share_inside` of the latents of a layer, `[d_sae]`."""
        return share_inside(encoded(sae, self.x[layer]).flatten(0, 1), self.inside.flatten())


@dataclass(frozen=True, eq=False)
class Pasted(Masked):
    """Objects pasted on photographs."""

    empty: dict[str, Tensor]
    """Activations of the photographs without the objects."""

    def pointing(self, sae: SparseAutoencoder, layer: str) -> float:
        """`measures.places.pointing` of the latents of a layer."""
        return pointing(encoded(sae, self.x[layer]), encoded(sae, self.empty[layer]), self.inside)


@torch.no_grad()
def encoded(sae: SparseAutoencoder, x: Tensor) -> Tensor:
    """Latents `[pictures, patches, d_sae]`."""
    return torch.cat([sae.encode(part) for part in x.split(_IMAGES)])


def pasted_scenes(backbone: Backbone, backgrounds: str | None, n: int, seed: int) -> Iterator[Scene]:
    """`n` starter cut-outs, each on a photograph of `backgrounds`, or on a blurred one; the same ones for a seed."""
    starter, side = load_samples("starter:cutouts"), backbone.preprocessing.image_size
    if backgrounds is None:
        yield from scenes(starter, n, side, seed)
        return
    photographs, generator = load_samples(backgrounds), np.random.default_rng(seed)
    for _ in range(n):
        sample = starter.read(int(generator.integers(len(starter))))
        behind = photographs.read(int(generator.integers(len(photographs))))
        yield paste(sample, backbone.preprocessing.crop(behind.image), generator)


def observe_pasted(backbone: Backbone, pictures: Sequence[Scene], layers: Sequence[str]) -> Pasted:
    """What a backbone makes of scenes, with their objects and without."""
    x, empty = (_patches(backbone, [getattr(p, part) for p in pictures], layers) for part in ("image", "background"))
    return Pasted(x, _inside(backbone, [picture.mask for picture in pictures], layers[0]), empty)


@torch.no_grad()
def observe_foregrounds(backbone: Backbone, images: Sequence[Image.Image], layers: Sequence[str]) -> Masked:
    """What dinov2-small-focus makes of photographs, whose foregrounds its own saliency decoder finds.

    InputError for another backbone.
    """
    parts: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    masks: list[np.ndarray] = []
    for start in range(0, len(images), _IMAGES):
        x = backbone.run(images[start : start + _IMAGES], sorted({*layers, LAST}))
        masks += list((saliency(backbone, x[LAST]) >= THRESHOLD).cpu().numpy())
        for layer in layers:
            parts[layer].append(backbone.select_token(x[layer], layer, "patch"))
    return Masked({layer: torch.cat(part) for layer, part in parts.items()}, _inside(backbone, masks, layers[0]))


def _patches(backbone: Backbone, images: Sequence[Image.Image], layers: Sequence[str]) -> dict[str, Tensor]:
    """Activations of the patches by layer, `[images, patches, d_in]`."""
    runs = [backbone.run(images[start : start + _IMAGES], layers) for start in range(0, len(images), _IMAGES)]
    return {layer: torch.cat([backbone.select_token(run[layer], layer, "patch") for run in runs]) for layer in layers}


def _inside(backbone: Backbone, masks: Sequence[np.ndarray], layer: str) -> Tensor:
    """Which patches a mask covers by half or more, bool `[pictures, patches]`."""
    side = backbone.preprocessing.image_size
    rows, columns = backbone.grid(layer, side, side)
    places = backbone.token_map(layer, torch.zeros(1, 3, side, side))
    return torch.from_numpy(np.stack([coverage(mask, places, rows * columns) >= HALF for mask in masks]))
