"""One training step of a ReLU SAE with L1 penalty on the CPU without autograd: exact, 10 instead of 12 B d m FLOPs.

The batch is taken in chunks small enough for the cache; gradients are added up in place. Nested prefixes add to each
other's reconstruction, so that all of them cost one decoding.
"""

from __future__ import annotations

import torch
from torch import Tensor

from hsae.sae.objective import Objective
from hsae.sae.outcome import Outcome
from hsae.sae.weights import Weights

CHUNK = 512
"""Tokens at a time."""


class ReLUStep:
    """Gradients of the parts' mean ||x_hat - x||^2 / d_in + l1 mean sum z, with all buffers kept between steps."""

    def __init__(self, objective: Objective) -> None:
        d_in, d_sae, self.objective = objective.d_in, objective.d_sae, objective
        self.z, self.slopes = torch.empty(CHUNK, d_sae), torch.empty(CHUNK, d_sae)
        self.errors = torch.empty(len(objective.weights), CHUNK, d_in)
        self.rows, self.dec = torch.empty(d_sae, d_in), torch.empty(d_sae, d_in)

    @torch.no_grad()
    def __call__(self, sae: Weights, x: Tensor, l1: Tensor) -> Outcome:
        """Write the gradients for `x [batch, d_in]` into the parameters; W_enc must be stored row by row of latents."""
        centred, error = x - sae.b_dec, torch.empty_like(x)
        self.rows.zero_(), self.dec.zero_()
        self.b_enc, self.b_dec = torch.zeros_like(sae.b_enc), torch.zeros_like(sae.b_dec)
        counts, loss = torch.zeros(sae.d_sae), x.new_zeros(())
        for part, missed in zip(centred.split(CHUNK), error.split(CHUNK), strict=True):
            loss += self._chunk(sae, part, missed, len(x), l1 / len(x), counts)
        self.b_dec -= self.b_enc @ sae.W_enc.T
        sae.W_enc.grad, sae.W_dec.grad, sae.b_enc.grad, sae.b_dec.grad = self.rows.T, self.dec, self.b_enc, self.b_dec
        return Outcome(loss, error, counts)

    def _chunk(
        self, sae: Weights, centred: Tensor, missed: Tensor, batch: int, per_token: Tensor, counts: Tensor
    ) -> Tensor:
        """Add the gradients of some tokens, write their error to `missed`; returns their share of the loss."""
        z, slopes, errors = self.z[: len(centred)], self.slopes[: len(centred)], self.errors[:, : len(centred)]
        torch.addmm(sae.b_enc, centred, sae.W_enc, out=z).relu_()
        before = -centred
        for error, (start, stop) in zip(errors, self.objective.columns, strict=True):
            before = torch.addmm(before, z[:, start:stop], sae.W_dec[start:stop], out=error)
        missed.copy_(before)
        weights = torch.tensor(self.objective.weights).view(-1, 1, 1)
        loss = (errors.pow(2).sum((1, 2), keepdim=True) * weights).sum() / (batch * sae.d_in) + per_token * z.sum()
        toward = errors.mul_(weights * (2 / (batch * sae.d_in)))
        for part in reversed(range(len(toward) - 1)):
            toward[part] += toward[part + 1]
        for g, (start, stop) in zip(toward, self.objective.columns, strict=True):
            torch.mm(g, sae.W_dec[start:stop].T, out=slopes[:, start:stop])
            self.dec[start:stop].addmm_(z[:, start:stop].T, g)
        active = z > 0
        slopes.add_(per_token).mul_(active)
        self.rows.addmm_(slopes.T, centred)
        self.b_enc += slopes.sum(0)
        self.b_dec += toward[0].sum(0)
        counts += active.sum(0)
        return loss
