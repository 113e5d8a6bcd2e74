"""Cosines of latents' directions with neurons and with each other, beside their chance level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import normalize

from hsae.errors import InputError

_ROWS = 2048  # directions compared at once


@dataclass(frozen=True, eq=False)
class NeuronAlignment:
    """The neuron nearest to every latent's direction."""

    neuron: NDArray[np.int64]
    """argmax_j |cos(d_f, m_j)|, `[d_sae]`; -1 for a direction of length 0."""
    cosine: NDArray[np.float64]
    """That cosine with its sign, `[d_sae]` in [-1, 1]; NaN for a direction of length 0."""
    chance: float
    """Mean |cosine| of random directions with their nearest neuron."""
    popular: float
    """Share of latents whose nearest neuron is among the 1 % most often nearest."""
    popular_chance: float
    """The same share for as many random directions."""


def neuron_alignment(directions: Tensor, neurons: Tensor, seed: int = 0) -> NeuronAlignment:
    """Nearest neuron by |cosine| of each of `directions [d_sae, d_in]` among `neurons [n_neurons, d_in]`.

    directions: rows of W_enc^T or of W_dec; neurons: what each MLP neuron of the block adds to the residual stream.
    As in Zhu and Graves; chance is the same with normal random directions.
    """
    if directions.ndim != 2 or neurons.ndim != 2 or directions.shape[1] != neurons.shape[1] or not len(neurons):
        shapes = f"{tuple(directions.shape)} and {tuple(neurons.shape)}"
        raise InputError(f"directions and neurons of shapes {shapes}", "[d_sae, d_in] and [n_neurons, d_in]")
    neuron, cosine = nearest_neurons(directions, neurons)
    random = torch.randn(directions.shape, generator=torch.Generator().manual_seed(seed))
    by_chance, chance = nearest_neurons(random, neurons)
    return NeuronAlignment(
        neuron=np.where(np.isnan(cosine), -1, neuron),
        cosine=cosine,
        chance=float(np.abs(chance).mean()),
        popular=_popular(neuron[~np.isnan(cosine)], len(neurons)),
        popular_chance=_popular(by_chance, len(neurons)),
    )


def mean_pairwise_cosine(directions: Tensor) -> float:
    """Mean cosine over all pairs of `directions [n, d_in]`, in [-1, 1]: (|sum u|^2 - n) / (n^2 - n); NaN for n < 2.

    Near 1 for the decoder rows of the rarest latents when they all share one direction.
    """
    n = len(directions)
    if n < 2:
        return float("nan")
    total = normalize(directions.detach().double(), dim=-1).sum(0)
    return ((total @ total).item() - n) / (n * n - n)


def nearest_neurons(directions: Tensor, neurons: Tensor) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Neuron with the largest |cosine| to each direction, and that cosine, NaN without a direction: `[d_sae]`."""
    unit = normalize(neurons.detach().cpu().float(), dim=-1)
    matches = []
    for part in directions.detach().cpu().float().split(_ROWS):
        cosines = normalize(part, dim=-1) @ unit.T
        best = cosines.abs().argmax(-1, keepdim=True)
        length = part.norm(dim=-1, keepdim=True)
        matches.append(torch.cat([best.double(), cosines.gather(1, best).double().where(length > 0, torch.nan)], dim=1))
    best, cosine = torch.cat(matches).numpy().T
    return best.astype(np.int64), np.clip(cosine, -1, 1)


def _popular(neuron: NDArray[np.int64], n_neurons: int) -> float:
    uses = np.sort(np.bincount(neuron, minlength=n_neurons))[::-1]
    return float(uses[: -(-n_neurons // 100)].sum() / max(1, len(neuron)))
