"""Which latents fire on the same images: neighbours by what they do rather than by where they point."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array

from hsae.measures.weaker_images import Shares

NEIGHBOURS = 6
_AT_ONCE = 512  # latents


def cofiring(z: csr_array) -> list[Shares]:
    """For every latent of `z [n_images, d_sae]` the `NEIGHBOURS` that share most of its images: (latent, per cent).

    The share is Jaccard's: images on which both fire / images on which either does, in [0, 1]; equal ones in the order
    of the latents, and none of a share that rounds to 0 %.
    """
    fires = csr_array((np.ones(z.nnz, np.float32), z.indices, z.indptr), shape=z.shape)
    fires.data[z.data <= 0] = 0
    fires.eliminate_zeros()
    counts, found = fires.sum(0), []
    for start in range(0, z.shape[1], _AT_ONCE):
        both = (fires[:, start : start + _AT_ONCE].T @ fires).tocsr()
        for latent in range(both.shape[0]):
            here = slice(both.indptr[latent], both.indptr[latent + 1])
            found.append(_nearest(start + latent, both.indices[here], both.data[here], counts))
    return found


def _nearest(latent: int, others: np.ndarray, both: np.ndarray, counts: np.ndarray) -> Shares:
    percents = np.rint(100 * both / (counts[latent] + counts[others] - both)).astype(int)
    kept = (others != latent) & (percents > 0)
    others, percents = others[kept], percents[kept]
    order = np.lexsort((others, -percents))[:NEIGHBOURS]
    return tuple(zip(others[order].tolist(), percents[order].tolist(), strict=True))
