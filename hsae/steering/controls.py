"""Controls of an edit: pushes of the same size at the same tokens that mean something else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from hsae.errors import InputError
from hsae.sae.model import SparseAutoencoder
from hsae.steering.deltas import Change

NEIGHBOURS = 10
"""Among how many latents of nearest firing rate the random one is drawn."""


def random_like(deltas: Mapping[str, Tensor], seed: int) -> dict[str, Tensor]:
    """One random direction per layer, with each token's own norm: the size of an edit without its meaning."""
    generator = torch.Generator().manual_seed(seed)
    directions = {layer: torch.randn(delta.shape[-1], generator=generator).to(delta) for layer, delta in deltas.items()}
    return {layer: along(delta, directions[layer]) for layer, delta in deltas.items()}


def feature_like(
    deltas: Mapping[str, Tensor],
    changes: Sequence[Sequence[Change]],
    saes: Mapping[str, SparseAutoencoder],
    frequencies: Mapping[str, ArrayLike],
    seed: int,
) -> dict[str, Tensor]:
    """Other features of equal firing rate, moved as far and the same way, with each token's own norm.

    deltas `{layer: [edits, tokens, d_in]}` and changes, one row per edit: those of an `EditedRun`. The direction of an
    edit is sum_j (z'_j - z_j) W_dec[other(j)], scaled; frequencies: per layer the firing rate of each latent `[d_sae]`.
    """
    controls: dict[str, Tensor] = {}
    for layer, delta in deltas.items():
        rows = [[change for change in row if change.layer == layer] for row in changes]
        used = {change.latent for row in rows for change in row}
        other = {latent: equal_rate_latent(frequencies[layer], latent, seed, used) for latent in sorted(used)}
        directions = torch.zeros(len(rows), 1, delta.shape[-1]).to(delta)
        for direction, row in zip(directions, rows, strict=True):
            for change in row:
                direction += (change.after - change.before) * saes[layer].W_dec[other[change.latent]].detach()
        controls[layer] = along(delta, directions)
    return controls


def equal_rate_latent(frequency: ArrayLike, latent: int, seed: int, exclude: Collection[int] = ()) -> int:
    """A random latent among the 10 whose firing rate is nearest to that of `latent`, of those that fire at all."""
    rates = np.asarray(frequency, dtype=float)
    allowed = np.array([at for at in np.flatnonzero(rates > 0) if at != latent and at not in set(exclude)], dtype=int)
    if not len(allowed):
        raise InputError(f"no latent beside {latent} that ever fires", "another one to compare it with")
    nearest = allowed[np.argsort(np.abs(rates[allowed] - rates[latent]), kind="stable")[:NEIGHBOURS]]
    return int(np.random.default_rng((seed, latent)).choice(nearest))


def along(delta: Tensor, direction: Tensor) -> Tensor:
    """Vectors of the norms of `delta [..., d_in]` along `direction`, broadcast; 0 where the direction is 0."""
    return delta.norm(dim=-1, keepdim=True) * torch.nn.functional.normalize(direction, dim=-1)
