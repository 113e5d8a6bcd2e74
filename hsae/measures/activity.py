"""How often and how strongly each latent fires."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.measures.sparse_latents import check_latents, stack_latents


@dataclass(frozen=True, eq=False)
class LatentActivity:
    """Activity of every latent over a set of tokens; arrays `[d_sae]` in the units of the activations."""

    frequency: NDArray[np.float64]
    """Share in [0, 1] of tokens on which the latent fires (lifetime sparsity; lower is sparser)."""
    mean: NDArray[np.float64]
    """Mean over the tokens on which it fires, sum z / |A|; NaN for a latent that fires on none."""
    mean_over_all: NDArray[np.float64]
    """Mean over all tokens, sum z / n = frequency * mean; 0 for a latent that fires on none."""
    max: NDArray[np.float64]
    """Largest activation over the tokens; 0 for a latent that fires on none."""
    p999: NDArray[np.float64]
    """99.9th percentile of the positive activations: the unit of steering; 0 for a latent that fires on none."""
    dead: NDArray[np.bool_]
    """Fires on none of these tokens."""

    @property
    def population_sparsity(self) -> float:
        """Share in [0, 1] of latents active on a token, averaged over tokens; equals the mean frequency."""
        return float(self.frequency.mean())


class ActivityFitter:
    """Gathers latents batch by batch; keeps every positive value, because a percentile needs them all."""

    def __init__(self, d_sae: int) -> None:
        self._d_sae = d_sae
        self._parts: list[csr_array] = []

    def update(self, z: Any) -> ActivityFitter:
        """Add a batch of latents `[batch, d_sae]`: tensor, array or scipy sparse."""
        self._parts.append(check_latents(z, self._d_sae))
        return self

    def compute(self) -> LatentActivity:
        """Statistics of all tokens so far; InputError when there are none."""
        z = stack_latents(self._parts, self._d_sae)
        if not z.shape[0]:
            raise InputError("activity over no tokens", "at least one token")
        columns = z.tocsc()
        count = np.diff(columns.indptr)
        latent = np.repeat(np.arange(self._d_sae), count)
        total = np.bincount(latent, weights=columns.data, minlength=self._d_sae)
        values = columns.data[np.lexsort((columns.data, latent))].astype(np.float64)
        return LatentActivity(
            frequency=count / z.shape[0],
            mean=np.divide(total, count, out=np.full(self._d_sae, np.nan), where=count > 0),
            mean_over_all=total / z.shape[0],
            max=_quantiles(values, columns.indptr, 1.0),
            p999=_quantiles(values, columns.indptr, 0.999),
            dead=count == 0,
        )


def latent_activity(z: csr_array) -> LatentActivity:
    """Activity statistics of sparse latents `z [n, d_sae]`."""
    return ActivityFitter(z.shape[1]).update(z).compute()


def _quantiles(values: NDArray[np.float64], starts: NDArray[np.int32], q: float) -> NDArray[np.float64]:
    """Quantile q of every run of sorted `values` (run i begins at starts[i]), linear between neighbours; 0 if empty."""
    first, count = starts[:-1].astype(np.int64), np.diff(starts)
    place = q * np.maximum(count - 1, 0)
    below = np.floor(place).astype(np.int64)
    padded = np.append(values, 0.0)
    low = padded[np.where(count > 0, first + below, -1)]
    high = padded[np.where(count > 0, first + np.minimum(below + 1, count - 1), -1)]
    return low + (place - below) * (high - low)
