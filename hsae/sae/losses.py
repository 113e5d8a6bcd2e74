"""Training objectives: plain functions with one signature, (sae, what one forward pass gave, config) -> one number.

Everything is in the units of training, where the input has mean 0 and mean square norm d_in.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor

from hsae.sae.parallel import batch_mean

if TYPE_CHECKING:
    from hsae.sae.config import SAEConfig
    from hsae.sae.model import SparseAutoencoder


class Forward(NamedTuple):
    """One forward pass: x, x_hat `[batch, d_in]`; pre, z `[batch, d_sae]`."""

    x: Tensor
    pre: Tensor
    z: Tensor
    x_hat: Tensor


Loss = Callable[["SparseAutoencoder", Forward, "SAEConfig"], Tensor]


def reconstruction(sae: SparseAutoencoder, f: Forward, config: SAEConfig) -> Tensor:
    """Mean over tokens of ||x - x_hat||^2 / d_in; with nested prefixes the mean over them too.

    Each prefix adds its latents to the reconstruction of the one before it, so that all prefixes together cost one
    decoding (Matryoshka SAEs: Bussmann et al., arXiv 2503.17547).
    """
    if config.prefixes == 1:
        return (f.x - f.x_hat).pow(2).mean()
    rest, losses = f.x - sae.b_dec, []
    for start, stop in pairwise((0, *config.prefix_widths(sae.d_sae))):
        rest = rest - f.z[:, start:stop] @ sae.W_dec[start:stop]
        losses.append(rest.pow(2).mean())
    return torch.stack(losses).mean()


def no_penalty(sae: SparseAutoencoder, f: Forward, config: SAEConfig) -> Tensor:
    """0: the activation function alone makes the latents sparse."""
    return f.x.new_zeros(())


def l1(sae: SparseAutoencoder, f: Forward, config: SAEConfig) -> Tensor:
    """l1 x mean over tokens of sum_j |z_j|: with unit decoder rows, the penalty of Olson et al. (arXiv 2505.15970)."""
    return config.l1 * f.z.abs().sum(-1).mean()


def l0_target(sae: SparseAutoencoder, f: Forward, config: SAEConfig) -> Tensor:
    """l0 x (L0 / k - 1)^2, L0 the mean number of active latents a token, its slope by a window (arXiv 2407.14435)."""
    active = batch_mean(Step.apply(f.pre, sae.threshold, sae.window).sum(-1).mean(), sae.processes)
    return config.l0 * (active / config.k - 1).pow(2)


def gate_reconstruction(sae: SparseAutoencoder, f: Forward, config: SAEConfig) -> Tensor:
    """l1 on the gate's pre-activations, and their own reconstruction by the frozen decoder (arXiv 2404.16014)."""
    gate = torch.relu(f.pre)
    alone = gate @ sae.W_dec.detach() + sae.b_dec.detach()
    return config.l1 * gate.sum(-1).mean() + (f.x - alone).pow(2).mean()


class Step(torch.autograd.Function):
    """[pre > threshold], with d/dthreshold = -(1 / width) [|pre - threshold| < width / 2] and none for pre."""

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.width = width
        return (pre > threshold).to(pre.dtype)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor, None]:
        pre, threshold = ctx.saved_tensors
        near = (pre - threshold).abs() < ctx.width / 2
        return None, -(grad * near).flatten(0, -2).sum(0) / ctx.width, None
