"""Quality of an SAE's reconstruction of a layer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from hsae.errors import InputError
from hsae.sae.model import SparseAutoencoder


@dataclass(frozen=True)
class Reconstruction:
    """Reconstruction quality of one layer on held-out activations."""

    mse: float
    """Mean over tokens of ||x - x_hat||^2 / d_in, in squared units of the activations."""
    var: float
    """Mean over tokens of ||x - x_mean||^2 / d_in: the mse of predicting the mean."""
    fvu: float
    """Fraction of variance unexplained, mse / var; 0 is perfect, 1 no better than the mean. NaN when var is 0."""
    cosine: float
    """Mean cosine of x - x_mean and x_hat - x_mean, in [-1, 1]."""
    l0: float
    """Mean number of active latents per token (a count)."""
    dead: float
    """Share in [0, 1] of latents that are active on none of these tokens."""


class ReconstructionFitter:
    """Streams over activations and their reconstructions; the mean comes from the training split."""

    def __init__(self, mean: Tensor, d_sae: int) -> None:
        """mean `[d_in]`: per-coordinate mean of the training activations."""
        self.mean = mean
        self.error = self.variance = self.cosines = self.active = 0.0
        self.tokens = 0
        self.fired = torch.zeros(d_sae, dtype=torch.bool)

    def update(self, x: Tensor, x_hat: Tensor, z: Tensor) -> None:
        """Add x, x_hat `[batch, d_in]` and z `[batch, d_sae]`."""
        self.error += (x - x_hat).double().pow(2).mean(-1).sum().item()
        self.variance += (x - self.mean).double().pow(2).mean(-1).sum().item()
        self.cosines += torch.cosine_similarity(x - self.mean, x_hat - self.mean, dim=-1).double().sum().item()
        self.active += (z > 0).sum().item()
        self.fired |= (z > 0).any(0)
        self.tokens += len(x)

    def compute(self) -> Reconstruction:
        """The frozen result; InputError when nothing was added, or values that are not finite."""
        if not self.tokens:
            raise InputError("reconstruction over no tokens", "at least one held-out image")
        if not math.isfinite(self.error + self.variance):
            raise InputError("activations or reconstructions that are not finite", "finite numbers")
        mse, var = self.error / self.tokens, self.variance / self.tokens
        return Reconstruction(
            mse=mse,
            var=var,
            fvu=mse / var if var > 0 else float("nan"),
            cosine=self.cosines / self.tokens,
            l0=self.active / self.tokens,
            dead=1 - self.fired.float().mean().item(),
        )


@torch.inference_mode()
def reconstruction(sae: SparseAutoencoder, x: Tensor, mean: Tensor, batch_size: int = 1024) -> Reconstruction:
    """Reconstruction quality of `x [n, d_in]`; mean `[d_in]` of the training activations."""
    fitter = ReconstructionFitter(mean, sae.d_sae)
    for part in x.split(batch_size):
        x_hat, z = sae(part)
        fitter.update(part, x_hat, z)
    return fitter.compute()
