"""The images on which each latent is strongest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.measures.sparse_latents import check_latents


@dataclass(frozen=True, eq=False)
class TopImages:
    """The k strongest images of every latent, strongest first; equal activations in the order of the images."""

    images: list[NDArray[np.int64]]
    """Image indices per latent, at most k; empty for a latent that fires on none."""
    activations: list[NDArray[np.float32]]
    """Their activations, all > 0."""


class TopImagesFitter:
    """Sees images batch by batch and keeps the k strongest of every latent."""

    def __init__(self, d_sae: int, k: int = 9) -> None:
        if k < 1:
            raise InputError(f"the top {k} images", "at least 1")
        self._d_sae, self._k, self._seen = d_sae, k, 0
        self._latent, self._image = np.zeros(0, np.int64), np.zeros(0, np.int64)
        self._value = np.zeros(0, np.float32)

    def update(self, z: Any) -> TopImagesFitter:
        """Add the next images: latents `[batch, d_sae]`, tensor, array or scipy sparse."""
        batch = check_latents(z, self._d_sae).tocoo()
        latent = np.concatenate([self._latent, batch.col])
        image = np.concatenate([self._image, batch.row.astype(np.int64) + self._seen])
        value = np.concatenate([self._value, batch.data.astype(np.float32)])
        order = np.lexsort((image, -value, latent))
        ranked = latent[order]
        rank = np.arange(len(order)) - np.searchsorted(ranked, ranked)
        kept = order[rank < self._k]
        self._latent, self._image, self._value = latent[kept], image[kept], value[kept]
        self._seen += batch.shape[0]
        return self

    def compute(self) -> TopImages:
        """The strongest images so far."""
        ends = np.searchsorted(self._latent, np.arange(1, self._d_sae))
        return TopImages(np.split(self._image, ends), np.split(self._value, ends))


def top_images(z: csr_array, k: int = 9) -> TopImages:
    """The k images with the largest positive activation, for every latent of `z [n_images, d_sae]`."""
    return TopImagesFitter(z.shape[1], k).update(z).compute()
