"""Train a patch head on pictures whose pixels have known classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.errors import InputError
from hsae.measures.probes import ProbeSettings, fit_probe
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.observed import Observed, patch_places

PATCHES = 16
"""How many patches of a picture's objects, and of its background, are learned from: neighbours are much alike."""


@dataclass(frozen=True, eq=False)
class Lessons:
    """Patches to learn from."""

    x: Mapping[str, Tensor]
    """`[n, d_in]` by layer."""
    labels: Tensor
    """The class of each, int `[n]`."""
    pictures: Tensor
    """The picture each comes from, int `[n]`."""

    def shuffled(self, seed: int = 0) -> Lessons:
        """The control: every picture's object has the class of another picture's; backgrounds stay."""
        n = int(self.pictures.max()) + 1
        of_picture = torch.zeros(n, dtype=torch.long).scatter_reduce(0, self.pictures, self.labels, "amax")
        other = of_picture[torch.from_numpy(np.random.default_rng(seed).permutation(n))]
        return Lessons(self.x, torch.where(self.labels > 0, other[self.pictures], 0), self.pictures)


def gather(backbone: Backbone, seen: Iterable[Observed], layers: Sequence[str], seed: int = 0) -> Lessons:
    """A few patches of every picture, at several layers of equal grids; InputError without pictures."""
    generator, places = np.random.default_rng(seed), patch_places(backbone, layers[-1])
    x: dict[str, list[Tensor]] = {layer: [] for layer in layers}
    labels: list[np.ndarray] = []
    for one in seen:
        classes = one.patch_classes(places)
        chosen = np.concatenate([_some(np.flatnonzero(part), generator) for part in (classes > 0, classes == 0)])
        labels.append(classes[chosen])
        for layer in layers:
            x[layer].append(backbone.select_token(one.x[layer], layer, "patch")[0, chosen].cpu())
    if not labels:
        raise InputError("no pictures to learn from", "pictures of the head's classes")
    pictures = torch.arange(len(labels)).repeat_interleave(torch.tensor([len(some) for some in labels]))
    return Lessons({layer: torch.cat(x[layer]) for layer in layers}, torch.from_numpy(np.concatenate(labels)), pictures)


def train_head(lessons: Lessons, layer: str, classes: Sequence[str], seed: int = 0) -> PatchHead:
    """The head at a layer that tells the lessons' classes apart, by logistic regression.

    Every seventh picture chooses the penalty and the temperature; its patches are not trained on.
    """
    x, labels, apart = lessons.x[layer], lessons.labels, lessons.pictures % 7 == 6
    choice, settings = (x[apart], labels[apart]), ProbeSettings(seed=seed)
    probe = fit_probe(x[~apart], labels[~apart], len(classes), choice=choice, settings=settings)
    W = probe.W / probe.std[:, None] / probe.temperature
    return PatchHead(W, probe.b / probe.temperature - probe.mean @ W, tuple(classes))


def _some(rows: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    return generator.permutation(rows)[:PATCHES]
