"""Scenes in which the source of a latent is known: cut-outs pasted on backgrounds that stay the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hsae.data.sample import Sample
from hsae.data.samples import Samples
from hsae.errors import InputError
from hsae.faithfulness.removal import blur

SHARES = (0.4, 0.7)
"""How long the longer side of a pasted object is, as a share of the picture's side: drawn between the two."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A background with and without one object: whatever differs between them comes from the object."""

    key: str
    """Of the object's photograph."""
    image: Image.Image
    background: Image.Image
    mask: np.ndarray
    """bool `[side, side]`, True on the object."""


def scenes(samples: Samples, n: int, side: int, seed: int = 0) -> Iterator[Scene]:
    """`n` scenes from `samples` with masks: each a random object, at a random place on another photograph, blurred.

    The same seed gives the same scenes. InputError for fewer than two samples.
    """
    if len(samples) < 2:
        raise InputError(f"{len(samples)} photographs", "two or more: an object and a background")
    generator = np.random.default_rng(seed)
    for _ in range(n):
        rows = generator.choice(len(samples), 2, replace=False).tolist()
        scene, background = (samples.read(row) for row in rows)
        yield paste(scene, blur_photo(background.image, side), generator)


def paste(sample: Sample, background: Image.Image, generator: np.random.Generator) -> Scene:
    """The sample's object on a square background; InputError for a sample without a mask."""
    cut = None if sample.mask is None else Image.fromarray(sample.mask).getbbox()
    if sample.mask is None or cut is None:
        raise InputError(f"{sample.key} has no mask", "a cut-out: a photograph with alpha")
    side = background.width
    share = generator.uniform(*SHARES) * side / max(cut[2] - cut[0], cut[3] - cut[1])
    size = (max(1, round((cut[2] - cut[0]) * share)), max(1, round((cut[3] - cut[1]) * share)))
    left, top = (int(generator.integers(0, side - length + 1)) for length in size)
    cover = Image.fromarray(sample.mask).crop(cut).resize(size, Image.Resampling.NEAREST)
    image = background.copy()
    image.paste(sample.image.crop(cut).resize(size, Image.Resampling.BICUBIC), (left, top), cover)
    mask = Image.new("1", background.size)
    mask.paste(cover, (left, top))
    return Scene(sample.key, image, background, np.asarray(mask))


def blur_photo(image: Image.Image, side: int) -> Image.Image:
    """The photograph as a square, blurred until nothing can be recognised."""
    square = np.asarray(image.convert("RGB").resize((side, side)), np.float32)
    pixels = blur(torch.from_numpy(square).permute(2, 0, 1)[None])[0].permute(1, 2, 0)
    return Image.fromarray(pixels.round().clamp(0, 255).to(torch.uint8).numpy())


def coverage(mask: np.ndarray, places: Tensor, n_patches: int) -> np.ndarray:
    """Share in [0, 1] of each patch that the mask covers, `[n_patches]`; places: `Backbone.token_map`."""
    index = places.cpu().numpy().ravel()
    inside = index >= 0
    size = np.bincount(index[inside], minlength=n_patches)
    covered = np.bincount(index[inside], mask.ravel()[inside], minlength=n_patches)
    return covered / np.maximum(size, 1)
