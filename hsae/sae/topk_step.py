"""One training step of a TopK SAE on the CPU without autograd, and nothing of size batch x d_sae is kept.

With G = 2 (x_hat - x) / (batch d_in), the gradient of the mean squared error, and (z, i) a token's k latents:

    x_hat = sum_j z_j W_dec[i_j] + b_dec                     a weighted bag of rows
    dz_j  = G . W_dec[i_j]  where z_j > 0                    the gradient of that bag with respect to its weights
    dW_dec[l] = sum over tokens that chose l of z G          bags of tokens, after sorting the pairs by latent
    dW_enc[:, l] = sum over the same tokens of dz (x - b_dec)
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from hsae.sae.model import SparseAutoencoder
from hsae.sae.outcome import Outcome
from hsae.sae.topk_search import topk_search


class TopKStep:
    """Gradients of mean ||x_hat - x||^2 / d_in; the buffer is kept between steps and can serve several layers."""

    def __init__(self, d_sae: int, k: int) -> None:
        self.encode = topk_search(d_sae, k)

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
