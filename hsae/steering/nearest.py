"""Photographs with the activations nearest to an image's, before and after an edit."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from hsae.backbones.base import Backbone, Token
from hsae.data.samples import Samples
from hsae.data.starter_photos import starter_samples
from hsae.errors import InputError

_BATCH = 16
_computing = threading.Lock()


@dataclass(frozen=True, eq=False)
class PhotoBank:
    """Activations of a set of photographs at one layer, `vectors [n, d_in]` float32, by key."""

    layer: str
    token: str
    keys: tuple[str, ...]
    vectors: Tensor

    def nearest(self, x: Tensor, top: int = 5) -> list[tuple[str, float]]:
        """The `top` photographs of largest cosine with `x [d_in]`, both minus the bank's mean; in [-1, 1], falling.

        Activations share a large mean: without subtracting it their cosines would hardly differ.
        """
        if tuple(x.shape) != tuple(self.vectors.shape[1:]):
            raise InputError(f"an activation of shape {tuple(x.shape)}", f"{tuple(self.vectors.shape[1:])}")
        mean = self.vectors.mean(0)
        cosines = torch.cosine_similarity(self.vectors - mean, x.to(mean) - mean, dim=-1)
        values, rows = cosines.topk(min(top, len(self.keys)))
        return [(self.keys[row], value) for row, value in zip(rows.tolist(), values.tolist(), strict=True)]


def photo_bank(backbone: Backbone, samples: Samples, layer: str, token: Token) -> PhotoBank:
    """Run the backbone over all `samples`; token: cls or mean, one activation per photograph."""
    keys: list[str] = []
    vectors: list[Tensor] = []
    for start in range(0, len(samples), _BATCH):
        batch = [sample for _, sample in samples.rows(start, start + _BATCH) if sample is not None]
        x = backbone.run([sample.image for sample in batch], [layer])[layer]
        vectors.append(backbone.select_token(x, layer, token)[:, 0].float().cpu())
        keys += [sample.key for sample in batch]
    return PhotoBank(layer, token, tuple(keys), torch.cat(vectors))


def starter_bank(backbone: Backbone, layer: str, token: Token, stored: PhotoBank | None = None) -> PhotoBank:
    """The bank of the packaged photographs: the `stored` one if it is of that layer and token, else computed once.

    Computing takes one forward pass per photograph, about 520 of them; other threads wait for the first.
    """
    if stored is not None and (stored.layer, stored.token) == (layer, token):
        return stored
    with _computing:
        return _compute_bank(backbone, layer, token)


@lru_cache(maxsize=4)
def _compute_bank(backbone: Backbone, layer: str, token: Token) -> PhotoBank:
    return photo_bank(backbone, starter_samples(), layer, token)


def nearest_rows(before: Sequence[tuple[str, float]], after: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """One row per rank: before, before_cosine, after, after_cosine."""
    return [
        {"before": b, "before_cosine": b_cosine, "after": a, "after_cosine": a_cosine}
        for (b, b_cosine), (a, a_cosine) in zip(before, after, strict=True)
    ]
