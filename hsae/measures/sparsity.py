"""How sparse latents are over images and over latents, as studies of CLIP's ResNets list it.

Both sparsities are densities: lower is sparser. The mean of one over latents is that of the other over tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.errors import InputError

NEAR_ZERO = 1e-2
"""Of a latent's largest activation: less is near zero."""


@dataclass(frozen=True, eq=False)
class Sparsity:
    """Shares in [0, 1]."""

    population: NDArray[np.float64]
    """Of the latents that are active on each token, `[n_tokens]`."""
    lifetime: NDArray[np.float64]
    """Of the tokens on which each latent is active, `[d_sae]`; 0 for a dead unit."""
    near_zero: float
    """Of all pairs of token and latent, those whose activation is 0 or below 1 % of the latent's largest."""


def sparsity(z: csr_array) -> Sparsity:
    """Of latents `z [n_tokens, d_sae]` >= 0 without stored zeros; InputError for no tokens or no latents."""
    n, d_sae = z.shape
    if not n or not d_sae:
        raise InputError(f"latents of shape {z.shape}", "one token and one latent at least")
    largest = z.max(axis=0).toarray().ravel()
    strong = int((z.data >= NEAR_ZERO * largest[z.indices]).sum())
    fires = np.bincount(z.indices, minlength=d_sae)
    return Sparsity(np.diff(z.indptr) / d_sae, fires / n, 1 - strong / (n * d_sae))


def firing_map(z: csr_array, latents: int = 48, images: int = 48) -> NDArray[np.float64]:
    """Share of images that each band of latents fires on, by band of images: `[up to latents, up to images]`.

    Latents are sorted by how often they fire, the rarest last, so that dead ones are the rows of 0 at the end; images
    stay in their order.
    """
    order = np.argsort(-np.bincount(z.indices, minlength=z.shape[1]), kind="stable")
    row, column = (_bands(size, most) for size, most in zip(z.shape, (images, latents), strict=True))
    of_latent = np.empty(z.shape[1], np.int64)
    of_latent[order] = column
    shape = (column[-1] + 1, row[-1] + 1)
    entries = z.tocoo()
    counts = np.bincount(of_latent[entries.col] * shape[1] + row[entries.row], minlength=shape[0] * shape[1])
    return counts.reshape(shape) / np.outer(np.bincount(column), np.bincount(row))


def _bands(size: int, most: int) -> NDArray[np.int64]:
    """The band of each of `size` things, in order, in `most` bands of nearly equal size."""
    return np.arange(size) * min(size, most) // size
