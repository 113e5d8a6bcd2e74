"""Contributions of single blocks' attention to the target's token."""

from __future__ import annotations

import torch
from torch import Tensor

from hsae.relevancy.targets import Target
from hsae.relevancy.trace import Trace


def direct(trace: Trace, target: Target) -> Tensor:
    """The share of every token in what the last block's attention writes into the target: signed and exact.

    c_p = w . scale(W_o sum_h a_h[t, p] v_h[p]), so sum_p c_p = w . (attention write - its bias). It leaves out
    earlier mixing and the last MLP. One forward pass, and a backward pass through the attention write only. At a pool
    the share of the map's mean is spread evenly over its places.
    """
    (gradient,) = trace.gradients(target, trace.values[-1:])
    shares = (trace.values[-1].detach() * gradient)[0].sum((0, 2))
    return shares[1:] + shares[0] / (len(shares) - 1) if trace.pool_attends else shares


def legrad(trace: Trace, target: Target) -> Tensor:
    """Sum over the blocks l of mean_{heads, queries} (ds^l / dA^l)^+, s^l = the target read in block l's own tokens.

    Bousselham et al., ICCV 2025 (arXiv 2404.03214), with a latent's score in place of a text's and the scale kept.
    """
    weights = target.weights(trace.tokens)
    total = torch.zeros_like(weights, dtype=torch.float32)
    for attention, x in zip(trace.attentions, trace.activations.values(), strict=True):
        (gradient,) = torch.autograd.grad(target.read(x, weights).sum(), attention, retain_graph=True)
        total += gradient.clamp_min_(0).mean((1, 2)).float()
    return total[0]
