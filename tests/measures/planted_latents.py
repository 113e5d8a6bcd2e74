"""Sparse latents with a known answer: SAEs that are copies of each other, and SAEs that have nothing in common."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array


def sparse_random(seed: int, n_images: int = 400, d_sae: int = 30, active: float = 0.15) -> csr_array:
    """Every latent fires on a share `active` of the images, at random and with random strength in (0, 1]."""
    generator = np.random.default_rng(seed)
    fires = generator.random((n_images, d_sae)) < active
    return csr_array(np.where(fires, 1 - generator.random((n_images, d_sae)), 0).astype(np.float32))


def disguised(z: csr_array, seed: int = 0, noise: float = 0.05) -> tuple[csr_array, np.ndarray]:
    """The latents in another order, each in another unit and with noise where it fires; and that order.

    Latent `order[i]` of z is latent i of the result.
    """
    generator = np.random.default_rng(seed)
    order = generator.permutation(z.shape[1])
    scale = generator.uniform(0.1, 10, z.shape[1])
    dense = z.toarray()[:, order]
    dense *= scale * (1 + noise * generator.standard_normal(dense.shape))
    return csr_array(np.maximum(dense, 0).astype(np.float32)), order
