"""What one training step of one layer takes and gives besides gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor

from hsae.sae.weights import Weights


class Outcome(NamedTuple):
    """loss: one number; error: x_hat - x `[batch, d_in]`; counts: on how many tokens each latent fired `[d_sae]`."""

    loss: Tensor
    error: Tensor
    counts: Tensor


GradientStep = Callable[[Weights, Tensor, Tensor], Outcome]
"""Writes the gradients for a batch `[batch, d_in]` and a weight of the variant's penalty (one number) into the
parameters, whatever was there."""
