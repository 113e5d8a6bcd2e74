"""Attention multiplied through the blocks from the target's token to the patches, with or without gradients."""

from __future__ import annotations

import torch
from torch import Tensor

from hsae.relevancy.targets import Target
from hsae.relevancy.trace import Trace


def gradient_rollout(trace: Trace, target: Target) -> Tensor:
    """Gradient x attention rollout: R <- R + mean_heads (A * dy/dA)^+ R over the blocks, read at the target's token.

    The row R[token] is propagated from the layer down to the first block, which gives the same numbers without any
    tokens x tokens product; the identity R starts from is left out. Chefer et al., ICCV 2021 (arXiv 2103.15679).
    """
    gradients = trace.gradients(target, trace.attentions)
    with torch.no_grad():
        start = target.weights(trace.tokens).float()
        relevance = torch.zeros_like(start)
        for attention, gradient in zip(reversed(trace.attentions), reversed(gradients), strict=True):
            weight = (attention * gradient).clamp_min_(0).mean(1).float()
            relevance = relevance + ((start + relevance)[:, None] @ weight)[:, 0]
    return relevance[0]


def attention_rollout(trace: Trace, target: Target) -> Tensor:
    """Product over the blocks of (mean_heads A + I) / 2, row of the target's token: the same for every latent.

    A control, not an explanation of a latent. Abnar and Zuidema, ACL 2020 (arXiv 2005.00928).
    """
    with torch.no_grad():
        row = target.weights(trace.tokens).float()
        for attention in reversed(trace.attentions):
            row = (row + (row[:, None] @ attention.mean(1).float())[:, 0]) / 2
    return row[0]
