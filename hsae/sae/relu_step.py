"""One training step of a ReLU SAE with L1 penalty on the CPU without autograd: exact, 10 instead of 12 B d m FLOPs.

The batch is taken in chunks small enough for the cache; gradients are added up in place.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hsae.sae.model import SparseAutoencoder
from hsae.sae.outcome import Outcome

CHUNK = 512
"""Tokens at a time."""


class ReLUStep:
    """Gradients of mean ||x_hat - x||^2 / d_in + l1 mean sum z, with all buffers kept between steps."""

    def __init__(self, d_in: int, d_sae: int, l1: float) -> None:
        self.l1 = l1
        self.z, self.slopes = torch.empty(CHUNK, d_sae), torch.empty(CHUNK, d_sae)
        self.rows, self.dec = torch.empty(d_sae, d_in), torch.empty(d_sae, d_in)

    @torch.no_grad()
    def __call__(self, sae: SparseAutoencoder, x: Tensor) -> Outcome:
        """Write the gradients for `x [batch, d_in]` into the parameters; W_enc must be stored row by row of latents."""
        centred, error = x - sae.b_dec, torch.empty_like(x)
        sae.W_enc.grad, sae.W_dec.grad = self.rows.zero_().T, self.dec.zero_()
        sae.b_enc.grad, sae.b_dec.grad = torch.zeros_like(sae.b_enc), torch.zeros_like(sae.b_dec)
        counts, total = torch.zeros(sae.d_sae), x.new_zeros(())
        for part, missed in zip(centred.split(CHUNK), error.split(CHUNK), strict=True):
            total += self._chunk(sae, part, missed, len(x), counts)
        sae.b_dec.grad -= sae.b_enc.grad @ sae.W_enc.T
        return Outcome(error.pow(2).mean() + self.l1 * total / len(x), error, counts)

    def _chunk(self, sae: SparseAutoencoder, centred: Tensor, error: Tensor, batch: int, counts: Tensor) -> Tensor:
        z, slopes = self.z[: len(centred)], self.slopes[: len(centred)]
        torch.addmm(sae.b_enc, centred, sae.W_enc, out=z).relu_()
        torch.mm(z, sae.W_dec, out=error).sub_(centred)
        toward = error * (2 / (batch * sae.d_in))
        torch.mm(toward, sae.W_dec.T, out=slopes).add_(self.l1 / batch)
        active = z > 0
        slopes.mul_(active)
        sae.W_dec.grad.addmm_(z.T, toward)
        self.rows.addmm_(slopes.T, centred)
        sae.b_enc.grad += slopes.sum(0)
        sae.b_dec.grad += toward.sum(0)
        counts += active.sum(0)
        return z.sum()
