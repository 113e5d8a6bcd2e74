"""What one training step of one layer gives besides gradients."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Outcome(NamedTuple):
    """loss: one number; error: x_hat - x `[batch, d_in]`; counts: on how many tokens each latent fired `[d_sae]`."""

    loss: Tensor
    error: Tensor
    counts: Tensor
