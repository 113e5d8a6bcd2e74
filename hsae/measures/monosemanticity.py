"""Similarity of the images on which a latent fires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from torch import Tensor

from hsae.errors import InputError
from hsae.measures.sparse_latents import check_latents


@dataclass(frozen=True, eq=False)
class Monosemanticity:
    """Monosemanticity of every latent, with its chance level."""

    score: NDArray[np.float64]
    """Activation-weighted mean cosine of the embeddings of pairs of images, `[d_sae]` in [-1, 1]; NaN when fewer
    than two images have a weight above 0."""
    chance: float
    """Mean cosine over all pairs of images: the score of a latent that gives all of them the same weight."""


class MonosemanticityFitter:
    """MS_f = sum_{i<j} w_i w_j cos(e_i, e_j) / sum_{i<j} w_i w_j, exactly, without visiting pairs.

    For unit e: MS_f = (|E^T w|^2 - sum w^2) / ((sum w)^2 - sum w^2), so n images cost O(n d_sae d_e) at most. The
    weights are the latent scaled to [0, 1] over the images; the scale cancels, and the shift (of a latent that fires on
    every image) follows from the sums. Pach et al., arXiv 2504.02821, take e from another encoder.
    """

    def __init__(self, d_sae: int, d_embedding: int) -> None:
        self._weighted = np.zeros((d_sae, d_embedding))
        self._total, self._squares = np.zeros(d_sae), np.zeros(d_sae)
        self._least, self._fired = np.full(d_sae, np.inf), np.zeros(d_sae, np.int64)
        self._embedding, self._images = np.zeros(d_embedding), 0

    def update(self, z: Any, embeddings: Tensor) -> MonosemanticityFitter:
        """Add latents `[batch, d_sae]` of images with embeddings `[batch, d_embedding]` of any length but 0."""
        d_sae, d_embedding = self._weighted.shape
        rows = check_latents(z, d_sae).astype(np.float64)
        e = _unit(embeddings, (rows.shape[0], d_embedding))
        columns = rows.tocsc()
        count = np.diff(columns.indptr)
        latent = np.repeat(np.arange(d_sae), count)
        self._weighted += rows.T @ e
        self._total += np.bincount(latent, weights=columns.data, minlength=d_sae)
        self._squares += np.bincount(latent, weights=columns.data**2, minlength=d_sae)
        np.minimum.at(self._least, latent, columns.data)
        self._fired += count
        self._embedding += e.sum(0)
        self._images += len(e)
        return self

    def compute(self) -> Monosemanticity:
        """Scores over all images so far."""
        shift = np.where(self._fired == self._images, self._least, 0.0) if self._images else np.zeros(len(self._least))
        weighted = self._weighted - shift[:, None] * self._embedding
        squares = self._squares - 2 * shift * self._total + shift**2 * self._images
        total = self._total - shift * self._images
        # One image, or weights that only rounding keeps from being one, leave no pair.
        pairs = total**2 - squares
        usable = pairs > 1e-9 * np.maximum(self._total, 0) ** 2
        score = np.divide((weighted**2).sum(1) - squares, pairs, out=np.full(len(pairs), np.nan), where=usable)
        n = self._images
        chance = float((self._embedding @ self._embedding - n) / (n * n - n)) if n > 1 else float("nan")
        return Monosemanticity(np.clip(score, -1, 1), chance)


def monosemanticity(z: csr_array, embeddings: Tensor) -> Monosemanticity:
    """Scores of latents `z [n_images, d_sae]` by embeddings `[n_images, d_embedding]`; see the fitter."""
    return MonosemanticityFitter(z.shape[1], embeddings.shape[-1]).update(z, embeddings).compute()


def _unit(embeddings: Tensor, shape: tuple[int, int]) -> NDArray[np.float64]:
    if tuple(embeddings.shape) != shape:
        raise InputError(f"embeddings of shape {tuple(embeddings.shape)}", f"{list(shape)}, one for every image")
    e = embeddings.detach().cpu().double()
    length = torch.linalg.vector_norm(e, dim=-1, keepdim=True)
    if not (torch.isfinite(length) & (length > 0)).all():
        raise InputError("an embedding that is 0 or not finite", "vectors with a direction")
    return (e / length).numpy()
