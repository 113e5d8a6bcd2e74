"""Gradients of a reconstruction from few active latents; nothing of size batch x d_sae is kept.

A pair (z, i) is an active latent of a token: its value and its number. The pairs of a token stand in parts; part p
reconstructs with those before it, x_hat_p = b_dec + sum over the pairs of parts <= p of z W_dec[i]. With the weights w
of the parts and G_p = sum over q >= p of w_q 2 (x_hat_q - x) / (batch d_in), the gradient towards what part p adds:

    x_hat_p - x_hat_(p-1)  = sum of z W_dec[i] over part p     a weighted bag of rows: all parts cost one decoding
    dz = G_p . W_dec[i]                                        the gradient of that bag with respect to its weights
    dW_dec[l] = sum over the pairs with i = l of z G_p         bags of tokens, after sorting the pairs by latent
    dW_enc[:, l] = sum over the same pairs of dz (x - b_dec)
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from hsae.sae.bags import bags_of, long_sums, products, sums
from hsae.sae.outcome import Outcome
from hsae.sae.weights import Weights


class Pairs(NamedTuple):
    """The active latents of a batch, token by token and part by part.

    values `[n]` >= 0 (0 counts as silent) and latents `[n]`; starts `[batch x parts]`: where each part begins.
    """

    values: Tensor
    latents: Tensor
    starts: Tensor

    def bags(self) -> Tensor:
        """For each pair the number of its token and part, token x parts + part."""
        return bags_of(self.starts, len(self.values))


class Reconstruction(NamedTuple):
    """loss: one number; error: x_hat - x `[batch, d_in]`; toward: G `[batch, parts, d_in]`."""

    loss: Tensor
    error: Tensor
    toward: Tensor


@lru_cache
def constants(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Numbers on a device, sent there once: sending them in every step would make the host wait for it."""
    return torch.tensor(values, dtype=dtype, device=device)


def reconstruct(W_dec: Tensor, centred: Tensor, pairs: Pairs, weights: tuple[float, ...]) -> Reconstruction:
    """The parts' reconstructions of `centred [batch, d_in]` and the gradient towards what each adds."""
    batch, d_in = centred.shape
    errors = sums(W_dec, pairs.latents, pairs.starts, pairs.values).view(batch, len(weights), d_in)
    errors[:, 0] -= centred
    for part in range(1, len(weights)):
        errors[:, part] += errors[:, part - 1]
    scale = constants(weights, centred.dtype, centred.device)
    loss = (errors.pow(2).mean((0, 2)) * scale).sum()
    toward = errors * (scale * (2 / centred.numel())).unsqueeze(1)
    for part in reversed(range(len(weights) - 1)):
        toward[:, part] += toward[:, part + 1]
    return Reconstruction(loss, errors[:, -1], toward)


def write_gradients(
    sae: Weights, centred: Tensor, pairs: Pairs, toward: Tensor, bags: Tensor, slopes: Tensor
) -> Tensor:
    """Write the gradients into the parameters, given dz `slopes [n]`; returns on how many tokens each latent fired."""
    _, parts, d_in = toward.shape
    order, starts = _by_latent(pairs.latents, sae.d_sae)
    ordered, slopes_ordered = bags[order], slopes[order]
    tokens = ordered if parts == 1 else ordered.div(parts, rounding_mode="floor")
    sae.W_dec.grad = long_sums(toward.view(-1, d_in), ordered, starts, pairs.values[order])
    sae.W_enc.grad = long_sums(centred, tokens, starts, slopes_ordered).T
    b_enc = torch.zeros_like(sae.b_enc).index_add_(0, pairs.latents, slopes)
    sae.b_enc.grad = b_enc
    sae.b_dec.grad = toward[:, 0].sum(0, dtype=b_enc.dtype).sub_(b_enc @ sae.W_enc.T)
    return torch.zeros_like(sae.b_enc).index_add_(0, pairs.latents, (pairs.values > 0).to(sae.b_enc.dtype))


def sparse_gradients(
    sae: Weights, centred: Tensor, pairs: Pairs, weights: tuple[float, ...], reads: torch.dtype = torch.float32
) -> Outcome:
    """Write the gradients of the parts' weighted loss into the parameters; W_enc lies row by row of the latents.

    reads: the precision in which rows are read; all sums are in float32.
    """
    rows = sae.W_dec.to(reads)
    loss, error, exact = reconstruct(rows, centred, pairs, weights)
    toward, bags = exact.to(reads), pairs.bags()
    slopes = products(toward.view(-1, sae.d_in), rows, pairs.latents, pairs.starts, bags)
    slopes.mul_(pairs.values > 0)
    counts = write_gradients(sae, centred.to(reads), pairs, toward, bags, slopes)
    return Outcome(loss, error, counts)


def _by_latent(latents: Tensor, d_sae: int) -> tuple[Tensor, Tensor]:
    """The order of the pairs by latent, and where each latent's pairs start `[d_sae]`."""
    ordered, order = latents.sort()
    return order, torch.searchsorted(ordered, torch.arange(d_sae, device=latents.device))
