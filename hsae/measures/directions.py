"""Untrained latents: random directions, raw neurons and principal axes, firing as often as an SAE's latents.

They are the baseline that an SAE has to exceed. Each direction is a projection of x with a threshold that makes it fire
at a frequency drawn from the SAE's living latents.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array, hstack
from torch import Tensor
from torch.nn.functional import normalize

from hsae.errors import InputError
from hsae.measures.moments import moments

_COLUMNS = 256  # directions projected at once


@dataclass(frozen=True, eq=False)
class Axes:
    """The principal axes of activations."""

    variances: Tensor
    """Along each axis, rising `[d_in]`, float64."""
    directions: Tensor
    """Unit vectors, one in each row `[d_in, d_in]`, float64."""

    @classmethod
    def of(cls, covariance: Tensor) -> Axes:
        """From a covariance `[d_in, d_in]`."""
        values, vectors = torch.linalg.eigh(covariance)
        return cls(values.clamp_min(0), vectors.T)

    def random(self, n: int, seed: int = 0) -> Tensor:
        """n unit vectors drawn from the normal distribution with that covariance, `[n, d_in]`."""
        generator = torch.Generator().manual_seed(seed)
        normal = torch.randn(n, len(self.variances), generator=generator, dtype=torch.float64)
        return normalize(normal * self.variances.sqrt() @ self.directions, dim=-1).float()

    def both_ways(self) -> Tensor:
        """Every axis up and down, the strongest last: `[2 d_in, d_in]`."""
        return torch.cat([self.directions, -self.directions]).float()


def random_directions(x: Tensor, n: int, seed: int = 0) -> Tensor:
    """n unit vectors drawn from N(0, cov(x)), `[n, d_in]`, for activations `x [n_tokens, d_in]`."""
    return Axes.of(moments([x]).covariance).random(n, seed)


def neuron_directions(d_in: int) -> Tensor:
    """Every coordinate of an activation, up and down: `[2 d_in, d_in]`."""
    return torch.cat([torch.eye(d_in), -torch.eye(d_in)])


def principal_directions(x: Tensor) -> Tensor:
    """Every principal axis of `x [n_tokens, d_in]`, both ways, the strongest last: `[2 d_in, d_in]`."""
    return Axes.of(moments([x]).covariance).both_ways()


def matched_latents(x: Tensor, directions: Tensor, frequencies: NDArray[np.float64], seed: int = 0) -> csr_array:
    """Latents `[n_tokens, n]` max(x.d - threshold, 0), the threshold of each direction set on x itself.

    directions `[n, d_in]`; each fires on the round(frequency * n_tokens) tokens with the largest projection (fewer when
    projections are equal), its frequency drawn from `frequencies`, those of an SAE's living latents.
    """
    if not len(frequencies):
        raise InputError("no frequency to match", "at least one living latent")
    drawn = np.random.default_rng(seed).choice(frequencies, len(directions))
    # The threshold is the strongest projection that does not fire, so at least one token stays silent.
    fires = np.clip(np.round(drawn * len(x)), 1, max(1, len(x) - 1)).astype(np.int64)
    silent = np.maximum(len(x) - 1 - fires, 0)
    parts = []
    for rows in torch.arange(len(directions)).split(_COLUMNS):
        projection = (directions[rows] @ x.T).numpy()
        threshold = [np.partition(row, at)[at] for row, at in zip(projection, silent[rows.numpy()], strict=True)]
        parts.append(csr_array(np.maximum(projection - np.array(threshold)[:, None], 0).T))
    return hstack(parts, format="csr")
