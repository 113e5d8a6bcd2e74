"""Gradient x value, at the patch embeddings or in the map before the layer."""

from __future__ import annotations

import torch
from torch import Tensor

from hsae.relevancy.targets import Target
from hsae.relevancy.trace import Trace


def input_gradient(trace: Trace, target: Target) -> Tensor:
    """Input x gradient at the patch embeddings, sum over width of e * dy/de: signed.

    With the plain backward pass a noisy baseline; with that of `record_lrp` it is AttnLRP, which at a pool of a CNN
    goes back through the pool alone: its rules are those of attention.
    """
    start = trace.before if trace.pool_attends else trace.embedding
    (gradient,) = trace.gradients(target, [start])
    scores = trace.backbone.tokens(start.detach() * gradient)[0].sum(-1)
    return trace.at_layer(scores, start)


@torch.no_grad()
def grad_cam(trace: Trace, target: Target) -> Tensor:
    """(sum over width of mean_patches(dy/dh) * h)^+ in the tokens h that enter the last block or stage.

    One step before the layer, because at the layer itself a target read in the class token has no gradient in any
    patch. Selvaraju et al., ICCV 2017 (arXiv 1610.02391).
    """
    with torch.enable_grad():
        (gradient,) = trace.gradients(target, [trace.before])
    weight = trace.backbone.tokens(gradient)[0, trace.n_prefix :].mean(0)
    scores = (trace.backbone.tokens(trace.before)[0] @ weight).clamp_min_(0)
    return trace.at_layer(scores, trace.before)
