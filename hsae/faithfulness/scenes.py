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


@dataclass(frozen=True)
class Place:
    """A box in pixels of the picture."""

    left: int
    top: int
    width: int
    height: int


def paste(
    sample: Sample, background: Image.Image, generator: np.random.Generator, across: tuple[float, float] = (0.0, 1.0)
) -> Scene:
    """The sample's object on a square background; InputError for a sample without a mask.

    across: from where to where the object may stand, from left to right, in shares of the width.
    """
    left, top, right, bottom = cut_out(sample)[1]
    side, (first, last) = background.width, (round(share * background.width) for share in across)
    width, height = right - left, bottom - top
    scale = min(generator.uniform(*SHARES) * side / max(width, height), (last - first) / width)
    width, height = max(1, round(width * scale)), max(1, round(height * scale))
    left = int(generator.integers(first, last - width + 1))
    top = int(generator.integers(0, side - height + 1))
    return paste_at(sample, background, Place(left, top, width, height))


def paste_at(sample: Sample, background: Image.Image, place: Place) -> Scene:
    """The sample's object, cut out and brought to the size of a place on a background."""
    (cover, box), size, corner = cut_out(sample), (place.width, place.height), (place.left, place.top)
    cover = cover.crop(box).resize(size, Image.Resampling.NEAREST)
    image = background.copy()
    image.paste(sample.image.crop(box).resize(size, Image.Resampling.BICUBIC), corner, cover)
    mask = Image.new("1", background.size)
    mask.paste(cover, corner)
    return Scene(sample.key, image, background, np.asarray(mask))


def cut_out(sample: Sample) -> tuple[Image.Image, tuple[int, int, int, int]]:
    """Mask of the sample's object, and the box around it: left, top, right, bottom; InputError without a mask."""
    mask = None if sample.mask is None else Image.fromarray(sample.mask)
    box = None if mask is None else mask.getbbox()
    if mask is None or box is None:
        raise InputError(f"{sample.key} has no mask", "a cut-out: a photograph with alpha")
    return mask, box


def paste_beside(
    first: Sample, second: Sample, background: Image.Image, generator: np.random.Generator
) -> tuple[Scene, Scene]:
    """Two objects, one in the left and one in the right half: a scene, and that scene with the second object in it."""
    left = paste(first, background, generator, (0.0, 0.5))
    return left, paste(second, left.image, generator, (0.5, 1.0))


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
