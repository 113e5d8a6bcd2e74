"""One training step of a TopK SAE on the CPU without autograd: exact, and nothing of size batch x d_sae is kept.

With G = 2 (x_hat - x) / (batch d_in), the gradient of the mean squared error, and (z, i) a token's k latents:

    x_hat = sum_j z_j W_dec[i_j] + b_dec                     a weighted bag of rows
    dz_j  = G . W_dec[i_j]  where z_j > 0                    the gradient of that bag with respect to its weights
    dW_dec[l] = sum over tokens that chose l of z G          bags of tokens, after sorting the pairs by latent
    dW_enc[:, l] = sum over the same tokens of dz (x - b_dec)
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from hsae.sae.model import SparseAutoencoder
from hsae.sae.outcome import Outcome

CHUNK = 512
"""Tokens encoded at a time: their pre-activations stay in the cache."""

ALIGNED = 16
"""Floats in a cache line: rows that begin at one are written a sixth faster by the matrix multiplication."""


@dataclass(frozen=True)
class Active:
    """The sparse latents of a batch: values `[batch, k]` >= 0 and indices `[batch, k]`."""

    values: Tensor
    indices: Tensor


class TopK:
    """Finds the k largest pre-activations of each token, reusing one buffer for the pre-activations.

    Latents are put into groups. The k groups with the largest maxima hold the k largest latents, because each
    maximum bounds its group; so only their members are compared.
    """

    def __init__(self, d_sae: int, k: int, chunk: int = CHUNK) -> None:
        self.d_sae, self.k = d_sae, k
        self.size = max(1, round(math.sqrt(d_sae / (2 * k))))
        self.groups = -(-max(k, -(-d_sae // self.size)) // ALIGNED) * ALIGNED
        self.pre = torch.full((chunk, self.size * self.groups), -torch.inf)
        self.first = torch.arange(self.size).view(1, -1, 1) * self.groups

    def __call__(self, centred: Tensor, rows: Tensor, b_enc: Tensor) -> Active:
        """Latents of centred `[batch, d_in]` under the encoder rows `[d_sae, d_in]`."""
        found = [self._chunk(part, rows, b_enc) for part in centred.split(len(self.pre))]
        values, indices = (torch.cat(parts) for parts in zip(*found, strict=True))
        return Active(values, indices)

    def _chunk(self, centred: Tensor, rows: Tensor, b_enc: Tensor) -> tuple[Tensor, Tensor]:
        pre = self.pre[: len(centred)]
        torch.addmm(b_enc, centred, rows.T, out=pre[:, : self.d_sae])
        if self.size == 1:
            return largest(pre, self.k)
        grouped = pre.view(-1, self.size, self.groups)  # member s of group g is latent s * groups + g
        _, best = largest(grouped.amax(1), self.k)
        members = (best.unsqueeze(1) + self.first).flatten(1)
        values, places = largest(pre.gather(1, members), self.k)
        return values, members.gather(1, places)


def largest(values: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The k largest of each row `[n, width]` float32, negative ones as 0, and their places; of equals the first.

    A non-negative float orders like its bits; with the place in the lower half of an int64, NumPy's vectorised
    partition needs a fifth of torch.topk's time.
    """
    width = values.shape[1]
    backwards = torch.arange(width - 1, -1, -1)
    keys = values.relu().view(torch.int32).to(torch.int64).bitwise_left_shift_(32).bitwise_or_(backwards)
    keys.numpy().partition(width - k, axis=1)
    chosen = keys[:, width - k :]
    return (chosen >> 32).to(torch.int32).view(torch.float32), width - 1 - (chosen & 0xFFFFFFFF)


class TopKStep:
    """Gradients of mean ||x_hat - x||^2 / d_in; the buffer is kept between steps and can serve several layers."""

    def __init__(self, d_sae: int, k: int) -> None:
        self.encode = TopK(d_sae, k)

    @torch.no_grad()
    def __call__(self, sae: SparseAutoencoder, x: Tensor) -> Outcome:
        """Write the gradients for `x [batch, d_in]` into the parameters; W_enc must be stored row by row of latents."""
        rows, centred = sae.W_enc.T, x - sae.b_dec
        active = self.encode(centred, rows, sae.b_enc)
        with torch.enable_grad():
            values = active.values.requires_grad_()
            bags = embedding_bag(active.indices, sae.W_dec.detach(), per_sample_weights=values, mode="sum")
        error = bags.detach() - centred
        toward = error * (2 / error.numel())
        (slopes,) = torch.autograd.grad(bags, values, toward)  # the one derivative for which torch has a fast kernel
        slopes.mul_(values > 0)
        latents, weights = active.indices.flatten(), values.detach().flatten()
        order, starts = _by_latent(latents, sae.d_sae)
        tokens = order.div(sae.k, rounding_mode="floor")
        sae.W_dec.grad = _sums(toward, tokens, starts, weights[order])
        sae.W_enc.grad = _sums(centred, tokens, starts, slopes.flatten()[order]).T
        sae.b_enc.grad = torch.zeros_like(sae.b_enc).index_add_(0, latents, slopes.flatten())
        sae.b_dec.grad = toward.sum(0).sub_(sae.b_enc.grad @ rows)
        counts = torch.zeros(sae.d_sae).index_add_(0, latents, (weights > 0).float())
        return Outcome(error.pow(2).mean(), error, counts)


def _by_latent(latents: Tensor, d_sae: int) -> tuple[Tensor, Tensor]:
    """The order of the (token, latent) pairs by latent, and where each latent's pairs start `[d_sae]`."""
    ordered, order = latents.sort()
    return order, torch.searchsorted(ordered, torch.arange(d_sae))


def _sums(vectors: Tensor, tokens: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """For each latent the weighted sum of its tokens' vectors `[d_sae, d_in]`."""
    return embedding_bag(tokens, vectors, starts, per_sample_weights=weights, mode="sum")
