"""How often and how strongly each latent fires."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


@dataclass(frozen=True)
class LatentActivity:
    """Activity of every latent over a set of tokens; arrays `[d_sae]` in the units of the activations."""

    frequency: NDArray[np.float64]
    """Share in [0, 1] of tokens on which the latent fires (lifetime sparsity; lower is sparser)."""
    mean: NDArray[np.float64]
    """Mean over the tokens on which it fires; NaN for a dead latent."""
    max: NDArray[np.float64]
    """Largest activation; 0 for a dead latent."""
    p999: NDArray[np.float64]
    """99.9th percentile of the positive activations: the unit of steering; 0 for a dead latent."""
    dead: NDArray[np.bool_]
    """Fires on no token."""


def latent_activity(z: csr_array) -> LatentActivity:
    """Activity statistics of sparse latents `z [n, d_sae]`."""
    columns = z.tocsc()
    count = np.diff(columns.indptr)
    values = [columns.data[start:end] for start, end in zip(columns.indptr, columns.indptr[1:], strict=False)]
    return LatentActivity(
        frequency=count / max(1, z.shape[0]),
        mean=np.array([v.mean(dtype=np.float64) if v.size else np.nan for v in values]),
        max=np.array([v.max() if v.size else 0.0 for v in values]),
        p999=np.array([np.quantile(v, 0.999) if v.size else 0.0 for v in values]),
        dead=count == 0,
    )
