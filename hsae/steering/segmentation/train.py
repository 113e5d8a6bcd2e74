"""Train a patch head on cut-outs pasted on other photographs' backgrounds, and score it on held-out photographs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.data.samples import Samples
from hsae.errors import InputError
from hsae.faithfulness.scenes import Scene, blur_photo, coverage, paste
from hsae.measures.probes import fit_probe
from hsae.steering.segmentation.head import BACKGROUND, PatchHead
from hsae.steering.segmentation.kinds import KINDS, kind_of
from hsae.steering.segmentation.maps import class_map

CLASSES = (BACKGROUND, *KINDS)
_BATCH = 16


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Accuracy of class maps by pixel, in [0, 1] each."""

    pixel_accuracy: float
    """Share of pixels with the right class."""
    object_accuracy: float
    """The same of the pixels of objects only."""
    mean_iou: float
    """Mean over classes of |both| / |either|."""
    iou: dict[str, float]
    """By class, of those that occur."""


def pasted_scenes(samples: Samples, copies: int, side: int, seed: int) -> Iterator[tuple[Scene, int]]:
    """Every photograph of a kind `copies` times, at random places on others' blurred colours; with class indices."""
    generator = np.random.default_rng(seed)
    rows = [row for row in range(len(samples)) if kind_of(_wnid(samples, row)) is not None]
    if len(rows) < 2:
        raise InputError(f"{len(rows)} photographs of a known kind", "two or more: an object and a background")
    for row in np.repeat(rows, copies).tolist():
        other = generator.choice([r for r in rows if r != row])
        sample = samples.read(row)
        background = blur_photo(samples.read(int(other)).image, side)
        yield paste(sample, background, generator), CLASSES.index(kind_of(sample.wnid))


@torch.no_grad()
def patches(backbone: Backbone, scenes: Sequence[tuple[Scene, int]], layer: str) -> tuple[Tensor, Tensor, Tensor]:
    """Activations `[scenes, patches, d_in]`, the share of each patch on the object, and each scene's class."""
    side = backbone.preprocessing.image_size
    places = backbone.token_map(layer, torch.zeros(1, 3, side, side))
    parts: list[Tensor] = []
    for start in range(0, len(scenes), _BATCH):
        images = [scene.image for scene, _ in scenes[start : start + _BATCH]]
        parts.append(backbone.select_token(backbone.run(images, [layer])[layer], layer, "patch").cpu())
    x = torch.cat(parts)
    covered = torch.from_numpy(np.stack([coverage(scene.mask, places, x.shape[1]) for scene, _ in scenes]))
    return x, covered, torch.tensor([label for _, label in scenes])


def train_head(x: Tensor, covered: Tensor, labels: Tensor, seed: int = 0) -> PatchHead:
    """Fit the head to patches `[scenes, patches, d_in]`: of an object when it covers half of the patch or more."""
    truth = torch.where(covered >= 0.5, labels[:, None], CLASSES.index(BACKGROUND))
    probe = fit_probe(x.flatten(0, 1), truth.flatten(), len(CLASSES), epochs=10, seed=seed)
    W = probe.W / probe.std[:, None]
    return PatchHead(W, probe.b - probe.mean @ W, CLASSES)


def score_head(
    backbone: Backbone, head: PatchHead, x: Tensor, scenes: Sequence[tuple[Scene, int]], layer: str
) -> HeadScores:
    """Score the head on the pixels of scenes with patches `x`, against their exact masks."""
    side = backbone.preprocessing.image_size
    prefix = torch.zeros(1, backbone.layers[layer].n_prefix, x.shape[-1])
    maps = [class_map(backbone, head, torch.cat([prefix, one[None]], 1), layer, side) for one in x]
    return score_maps(maps, [np.where(scene.mask, label, 0) for scene, label in scenes])


def score_maps(maps: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> HeadScores:
    """Score class maps against true ones, both int `[height, width]` with 0 for background."""
    guess, real = np.stack(maps), np.stack(truth)
    iou = {
        CLASSES[c]: float(((guess == c) & (real == c)).sum() / ((guess == c) | (real == c)).sum())
        for c in np.unique(real)
    }
    right = guess == real
    return HeadScores(float(right.mean()), float(right[real > 0].mean()), float(np.mean(list(iou.values()))), iou)


def _wnid(samples: Samples, row: int) -> str | None:
    label = samples.labels[row]
    return None if label is None else samples.classes[label]
