"""Correlation of the latents of two SAEs over the same images, kept sparse as long as possible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.errors import InputError

_ROWS = 512  # latents of a whose products with all of b are held as sparse numbers at once


def correlations(a: csr_array, b: csr_array) -> NDArray[np.float32]:
    """Pearson's r of every pair of latents, `[d_a, d_b]` in [-1, 1], from `a [n, d_a]` and `b [n, d_b]`.

    0 for a latent that is the same on all images. Takes 4 bytes a pair, and time by pairs that fire together.
    """
    if a.shape[0] != b.shape[0]:
        raise InputError(f"latents of {a.shape[0]} and of {b.shape[0]} images", "the same images for both")
    a, b = _standardise(a), _standardise(b)
    mean_a, mean_b = np.asarray(a.mean(axis=0)), np.asarray(b.mean(axis=0))
    latents, r = a.T.tocsr(), np.empty((a.shape[1], b.shape[1]), np.float32)
    for start in range(0, len(r), _ROWS):
        rows = slice(start, start + _ROWS)
        r[rows] = (latents[rows] @ b).toarray() / a.shape[0] - np.outer(mean_a[rows], mean_b)
    return np.clip(r, -1, 1, out=r)


def _standardise(z: csr_array) -> csr_array:
    """Every latent divided by its standard deviation, in float64; zeros stay zeros, so its mean is not 0."""
    z = z.astype(np.float64)
    mean = np.asarray(z.mean(axis=0))
    variance = np.maximum(np.asarray(z.power(2).mean(axis=0)) - mean**2, 0)
    # A variance this small is the rounding error of a constant latent.
    varies = variance > 1e-12 * mean**2
    scale = np.where(varies, 1 / np.sqrt(np.where(varies, variance, 1)), 0)
    return csr_array((z.data * scale[z.indices], z.indices, z.indptr), shape=z.shape)
