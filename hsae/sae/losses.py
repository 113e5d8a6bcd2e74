"""Training objectives: how well a forward pass reconstructs, and the penalties that make latents sparse.

Everything is in the units of training, where the input has mean 0 and mean square norm d_in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

from hsae.sae.activation_fns import Step
from hsae.sae.objective import Objective
from hsae.sae.parallel import batch_mean
from hsae.sae.weights import Weights


class Forward(NamedTuple):
    """One forward pass: x, x_hat `[batch, d_in]`; pre, z `[batch, d_sae]`."""

    x: Tensor
    pre: Tensor
    z: Tensor
    x_hat: Tensor


Penalty = Callable[[Weights, Forward, Tensor], Tensor]
"""(sae, forward pass, weight of the penalty) -> one number."""


def reconstruction(sae: Weights, f: Forward, objective: Objective) -> Tensor:
    """Mean over tokens of ||x - x_hat||^2 / d_in; with several parts, the weighted sum over them.

    Each part adds its latents to the reconstruction of those before it, so that all together cost one decoding
    (Matryoshka over latents: Bussmann et al., arXiv 2503.17547; over k: Zaigrajew et al., arXiv 2502.20578).
    """
    if len(objective.weights) == 1:
        return (f.x - f.x_hat).pow(2).mean()
    rest, losses = f.x - sae.b_dec, []
    for part, weight in zip(_parts(sae, f.z, objective), objective.weights, strict=True):
        rest = rest - part
        losses.append(weight * rest.pow(2).mean())
    return torch.stack(losses).sum()


def _parts(sae: Weights, z: Tensor, objective: Objective) -> Iterator[Tensor]:
    """What each part of the latents adds to the reconstruction, `[batch, d_in]`."""
    if not objective.ks:
        yield from (z[:, start:stop] @ sae.W_dec[start:stop] for start, stop in objective.columns)
        return
    values, indices = z.topk(objective.k)
    for start, stop in objective.ranks:
        yield torch.zeros_like(z).scatter(-1, indices[:, start:stop], values[:, start:stop]) @ sae.W_dec


def no_penalty(sae: Weights, f: Forward, weight: Tensor) -> Tensor:
    """0: the activation function alone makes the latents sparse."""
    return f.x.new_zeros(())


def l1(sae: Weights, f: Forward, weight: Tensor) -> Tensor:
    """weight x mean over tokens of sum_j |z_j|: the penalty of Olson et al. (arXiv 2505.15970), for unit rows."""
    return weight * f.z.abs().sum(-1).mean()


def l0_target(sae: Weights, f: Forward, weight: Tensor) -> Tensor:
    """weight x (L0 / k - 1)^2, L0 the mean number of active latents per token, its slope by a window (2407.14435)."""
    active = batch_mean(Step.apply(f.pre, sae.threshold, sae.window).sum(-1).mean(), sae.processes)
    return weight * (active / sae.k - 1).pow(2)


def gate_reconstruction(sae: Weights, f: Forward, weight: Tensor) -> Tensor:
    """L1 on the gate's pre-activations, and their own reconstruction by the frozen decoder (arXiv 2404.16014)."""
    gate = torch.relu(f.pre)
    alone = gate @ sae.W_dec.detach() + sae.b_dec.detach()
    return weight * gate.sum(-1).mean() + (f.x - alone).pow(2).mean()
