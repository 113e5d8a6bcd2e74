"""The target read in every token of the layer: where it is present, not what it comes from."""

from __future__ import annotations

import torch
from torch import Tensor

from hsae.errors import InputError
from hsae.relevancy.targets import LatentTarget, Target
from hsae.relevancy.trace import Trace


def activation(trace: Trace, target: Target) -> Tensor:
    """The latent's value in every token: the natural map of an SAE trained on patches."""
    if not isinstance(target, LatentTarget):
        raise InputError("method activation with a target that is not a latent", "a latent", "Use projection instead.")
    with torch.no_grad():
        return target.sae.encode(trace.tokens[0])[:, target.latent]


def projection(trace: Trace, target: Target) -> Tensor:
    """The target's score in every token, signed: an exact split of a `mean` target, only a similarity for `cls`."""
    with torch.no_grad():
        return target.score(trace.tokens[0])
