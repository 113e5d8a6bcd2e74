"""The SAE variants: how pre-activations become latents, what each learns besides the four common tensors, its penalty.

A variant is one row of VARIANTS. Latents are never negative. Thresholds and biases are in the units of the
pre-activations, so that scaling the input scales them (`r_mag`, a logarithm, excepted).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from hsae.sae.losses import Loss, gate_reconstruction, l0_target, l1, no_penalty
from hsae.sae.parallel import whole_batch

if TYPE_CHECKING:
    from hsae.sae.model import SparseAutoencoder

Activation = Literal["relu", "topk", "batchtopk", "jumprelu", "gated"]


def relu(pre: Tensor) -> Tensor:
    """z = max(pre, 0) (Cunningham et al., arXiv 2309.08600)."""
    return torch.relu(pre)


def topk(pre: Tensor, k: int) -> Tensor:
    """The k largest positive pre-activations of each token, all others 0 (Gao et al., arXiv 2406.04093)."""
    values, indices = torch.topk(pre, k, dim=-1)
    return torch.zeros_like(pre).scatter(-1, indices, torch.relu(values))


def batch_cut(pre: Tensor, k: int, processes: int = 1) -> Tensor:
    """The smallest positive one of the tokens x k largest pre-activations of the whole batch; infinity without any.

    With several processes, `pre [tokens, d_sae]` is a share of the batch and the cut that of all shares together.
    """
    flat, n = pre.detach().flatten(), k * (pre.numel() // pre.shape[-1]) * processes
    own = flat.topk(min(len(flat), n), sorted=False).values
    every = whole_batch(own, processes)
    largest = every.topk(min(len(every), n), sorted=False).values
    return torch.where(largest > 0, largest, torch.inf).min()


def batch_topk(pre: Tensor, cut: Tensor) -> Tensor:
    """Pre-activations from `batch_cut` on, all others 0: k a token on average (Bussmann et al., arXiv 2412.06410)."""
    return pre * (pre >= cut)


def above(pre: Tensor, threshold: Tensor) -> Tensor:
    """z = pre where pre > threshold and pre > 0, else 0; threshold one number or one per latent."""
    return pre * ((pre > threshold) & (pre > 0))


class Jump(torch.autograd.Function):
    """z = pre [pre > threshold], with a gradient for the threshold from a window around it.

    dz/dthreshold = -(threshold / width) [|pre - threshold| < width / 2] (Rajamanoharan et al., arXiv 2407.14435).
    """

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, pre: Tensor, threshold: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.width = width
        return above(pre, threshold)

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        pre, threshold = ctx.saved_tensors
        near = (pre - threshold).abs() < ctx.width / 2
        slope = -(threshold / ctx.width) * (grad * near).flatten(0, -2).sum(0)
        return grad * ((pre > threshold) & (pre > 0)), slope, None


def gated(pre: Tensor, b_enc: Tensor, r_mag: Tensor, b_mag: Tensor) -> Tensor:
    """z = [pre > 0] relu((pre - b_enc) exp(r_mag) + b_mag): one set of weights, two readings (arXiv 2404.16014)."""
    return (pre > 0) * torch.relu((pre - b_enc) * r_mag.exp() + b_mag)


@dataclass(frozen=True)
class Variant:
    """What distinguishes one kind of SAE."""

    activate: Callable[[SparseAutoencoder, Tensor], Tensor]
    penalty: Loss = no_penalty
    learned: tuple[str, ...] = ()
    """Names of further parameters `[d_sae]`, starting at 0."""
    saved: tuple[str, ...] = ()
    """Names of buffers, one number each, starting at 0."""
    uses_k: bool = True
    """k is the number of active latents per token: at most, on average, or as a target."""


def _batch_topk(sae: SparseAutoencoder, pre: Tensor) -> Tensor:
    """Over the batch while training, which moves the saved threshold; by the threshold afterwards."""
    if not sae.training:
        return above(pre, sae.threshold)
    cut = batch_cut(pre, sae.k, sae.processes)
    now, weight = sae.threshold, torch.where(sae.threshold > 0, 0.01, 1.0).to(sae.threshold)
    now.copy_(torch.where(torch.isfinite(cut), torch.lerp(now, cut.to(now), weight), now))
    return batch_topk(pre, cut)


VARIANTS: dict[str, Variant] = {
    "relu": Variant(lambda sae, pre: relu(pre), penalty=l1, uses_k=False),
    "topk": Variant(lambda sae, pre: topk(pre, sae.k)),
    "batchtopk": Variant(_batch_topk, saved=("threshold",)),
    "jumprelu": Variant(
        lambda sae, pre: Jump.apply(pre, sae.threshold, sae.window), penalty=l0_target, learned=("threshold",)
    ),
    "gated": Variant(
        lambda sae, pre: gated(pre, sae.b_enc, sae.r_mag, sae.b_mag),
        penalty=gate_reconstruction,
        learned=("r_mag", "b_mag"),
        uses_k=False,
    ),
}
