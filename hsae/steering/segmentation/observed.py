"""Pictures whose pixels have known classes, as a backbone sees them: composites, or photographs by their foreground."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.backbones.focus_mask import LAST, THRESHOLD, saliency
from hsae.data.samples import Samples
from hsae.steering.segmentation.composites import Picture
from hsae.steering.segmentation.kinds import class_of

BATCH = 16
Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class Observed:
    """One picture: what the backbone made of it, and what it shows."""

    x: dict[str, Tensor]
    """Activations `[1, tokens, d_in]` by layer."""
    truth: np.ndarray
    """The class of every pixel, int `[side, side]`, 0 for background."""

    def patch_classes(self, places: np.ndarray) -> np.ndarray:
        """The class of every patch, int `[patches]`: that of most of its pixels; places: `Backbone.token_map`."""
        inside = places >= 0
        classes, at = np.unique(self.truth[inside], return_inverse=True)
        counts = np.zeros((places.max() + 1, len(classes)), dtype=int)
        np.add.at(counts, (places[inside], at.ravel()), 1)
        return classes[counts.argmax(1)]


def patch_places(backbone: Backbone, layer: str) -> np.ndarray:
    """Which patch each pixel of the backbone's square belongs to, int `[side, side]`, -1 for none."""
    side = backbone.preprocessing.image_size
    return backbone.token_map(layer, torch.zeros(1, 3, side, side)).numpy()


def observe(backbone: Backbone, pictures: Iterable[Picture], layers: Sequence[str]) -> Iterator[Observed]:
    """Pictures with their activations at `layers`, one after the other."""
    for batch in _batches(pictures):
        x = backbone.run([image for image, _ in batch], layers)
        for row, (_, truth) in enumerate(batch):
            yield Observed({layer: x[layer][row : row + 1] for layer in x}, truth)


def observe_photographs(
    backbone: Backbone, samples: Samples, classes: Sequence[str], layers: Sequence[str]
) -> Iterator[Observed]:
    """Labelled photographs, whose foreground is taken to be what the label says.

    The foreground is that of `focus_mask`, so it comes from the backbone itself: InputError for any other than
    dinov2-small-focus. Photographs of none of the classes are left out, as are those without foreground.
    """
    labelled = ((sample, class_of(sample.wnid, classes)) for sample in samples)
    for batch in _batches((sample, label) for sample, label in labelled if label is not None):
        crops = [backbone.preprocessing.crop(sample.image) for sample, _ in batch]
        x = backbone.run(crops, sorted({*layers, LAST}))
        masks = (saliency(backbone, x[LAST]) >= THRESHOLD).numpy()
        for row, ((_, label), mask) in enumerate(zip(batch, masks, strict=True)):
            if mask.any():
                truth = np.where(mask, label, 0)
                yield Observed({layer: x[layer][row : row + 1] for layer in layers}, truth)


def _batches(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
