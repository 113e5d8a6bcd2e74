"""What is compared in a benchmark: numbers that rank images, whatever they are made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scipy.sparse import csr_array
from torch import Tensor

from hsae.measures.sparse_latents import sparse_latents
from hsae.report.names import Score
from hsae.sae.model import SparseAutoencoder


@dataclass(frozen=True, eq=False)
class Contestant:
    """`n` scores of an activation; some contestants also fire, and some reconstruct."""

    score: Score
    """`[..., d_in]` to `[..., n]`."""
    n: int
    fire: Callable[[Tensor], csr_array] | None = None
    """`[n_tokens, d_in]` to sparse latents `[n_tokens, n]`, for the tree."""
    sae: SparseAutoencoder | None = None


def of_sae(sae: SparseAutoencoder) -> Contestant:
    """An SAE ranks by its pre-activations."""
    return Contestant(sae.pre_activation, sae.d_sae, lambda x: sparse_latents(sae, x), sae)


def of_directions(directions: Tensor) -> Contestant:
    """Projections on directions `[n, d_in]`."""
    return Contestant(lambda x: x @ directions.T, len(directions))
