"""Input x gradient at the patch embeddings."""

from __future__ import annotations

from torch import Tensor

from hsae.relevancy.trace import Trace
from hsae.targets import Target


def input_gradient(trace: Trace, target: Target) -> Tensor:
    """Input x gradient at the patch embeddings, sum over width of e * dy/de: signed, a noisy baseline."""
    (gradient,) = trace.gradients(target, [trace.embedding])
    return trace.backbone.tokens(trace.embedding.detach() * gradient)[0].sum(-1)
