"""How pre-activations become latents: pure functions, and the gradients of those that jump.

Latents are never negative. Thresholds and biases are in the units of the pre-activations, so that scaling the input
scales them (`r_mag`, a logarithm, excepted).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from hsae.sae.parallel import whole_batch


def relu(pre: Tensor) -> Tensor:
    """z = max(pre, 0) (Cunningham et al., arXiv 2309.08600)."""
    return torch.relu(pre)


def topk(pre: Tensor, k: int) -> Tensor:
    """The k largest positive pre-activations of each token, all others 0 (Gao et al., arXiv 2406.04093)."""
    values, indices = torch.topk(pre, k, dim=-1)
    return torch.zeros_like(pre).scatter(-1, indices, torch.relu(values))


def grouped_topk(pre: Tensor, groups: tuple[tuple[int, int], ...]) -> Tensor:
    """The k largest positive pre-activations of each group of latents, given (size, k) of each, all others 0."""
    parts = pre.split([size for size, _ in groups], dim=-1)
    return torch.cat([topk(part, k) for part, (_, k) in zip(parts, groups, strict=True)], -1)


def batch_cut(pre: Tensor, k: int, processes: int = 1) -> Tensor:
    """The smallest positive one of the tokens x k largest pre-activations of the whole batch; infinity without any.

    With several processes, `pre [tokens, d_sae]` is a share of the batch and the cut that of all shares together.
    """
    flat, n = pre.detach().flatten(), k * (pre.numel() // pre.shape[-1]) * processes
    of_share = flat.topk(min(len(flat), n), sorted=False).values
    every = whole_batch(of_share, processes)
    largest = every.topk(min(len(every), n), sorted=False).values
    return torch.where(largest > 0, largest, torch.inf).min()


def batch_topk(pre: Tensor, cut: Tensor) -> Tensor:
    """Pre-activations from `batch_cut` on, all others 0: k per token on average (Bussmann et al., arXiv 2412.06410)."""
    return pre * (pre >= cut)


def above(pre: Tensor, threshold: Tensor) -> Tensor:
    """z = pre where pre > threshold and pre > 0, else 0; threshold one number or one per latent."""
    return pre * ((pre > threshold) & (pre > 0))


class Jump(torch.autograd.Function):
    """z = pre [pre > threshold], with a gradient for the threshold from a window around it.

    dz/dthreshold = -(threshold / width) [|pre - threshold| < width / 2] (Rajamanoharan et al., arXiv 2407.14435).
    """

    @staticmethod
    def forward(ctx: Any, pre: Tensor, threshold: Tensor, width: float) -> Tensor:
        ctx.save_for_backward(pre, threshold)
        ctx.width = width
        return above(pre, threshold)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        pre, threshold = ctx.saved_tensors
        near = (pre - threshold).abs() < ctx.width / 2
        slope = -(threshold / ctx.width) * (grad * near).flatten(0, -2).sum(0)
        return grad * ((pre > threshold) & (pre > 0)), slope, None


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


def gated(pre: Tensor, b_enc: Tensor, r_mag: Tensor, b_mag: Tensor) -> Tensor:
    """z = [pre > 0] relu((pre - b_enc) exp(r_mag) + b_mag): one set of weights, two readings (arXiv 2404.16014)."""
    return (pre > 0) * torch.relu((pre - b_enc) * r_mag.exp() + b_mag)
