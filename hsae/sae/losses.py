"""Training objectives: plain functions with one signature, (x, x_hat, z) -> one number.

x, x_hat `[batch, d_in]`; z `[batch, d_sae]`.
"""

from __future__ import annotations

from torch import Tensor


def reconstruction(x: Tensor, x_hat: Tensor, z: Tensor) -> Tensor:
    """Mean over tokens of ||x - x_hat||^2 / d_in: squared error per coordinate."""
    return (x - x_hat).pow(2).mean()


def sparsity(x: Tensor, x_hat: Tensor, z: Tensor) -> Tensor:
    """Mean over tokens of sum_j |z_j|: with unit decoder rows, the L1 penalty of Olson et al. (arXiv 2505.15970)."""
    return z.abs().sum(-1).mean()
