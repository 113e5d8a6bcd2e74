"""Matching pursuit in place of an encoder: latents are taken one after the other, each at what those before have left.

    r_1 = x - b ;  i_t = argmax_j r_t . d_j ;  v_t = r_t . d_i ;  r_t+1 = r_t - v_t d_i     for t = 1 ... k

d_j are unit decoder rows, the only weights; a latent's value is the sum of its v_t. Source: arXiv 2506.03093.
Nothing is left to threshold, so it is no row of VARIANTS; `training/matching_pursuit.py` says how it compares.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize


class MatchingPursuit(nn.Module):
    """`d_sae` unit rows `W_dec [d_sae, d_in]`, an origin `b_dec [d_in]`, and k steps."""

    def __init__(self, rows: Tensor, origin: Tensor, k: int) -> None:
        super().__init__()
        self.k = k
        self.W_dec = nn.Parameter(normalize(rows, dim=1))
        self.b_dec = nn.Parameter(origin.clone())

    @torch.no_grad()
    def choose(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Latents and values `[n, k]`, in the order in which they are taken, of activations `[n, d_in]`.

        A step where nothing has a positive product is worth 0.
        """
        products = (x - self.b_dec) @ self.W_dec.T
        gram = self.W_dec @ self.W_dec.T
        latents, values = (torch.empty(len(x), self.k, dtype=dtype) for dtype in (torch.long, x.dtype))
        for step in range(self.k):
            best, at = products.max(1)
            best = best.clamp_min(0)
            latents[:, step], values[:, step] = at, best
            products.addcmul_(gram[at], best[:, None], value=-1)
        return latents, values

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """Latents `[..., d_sae]` of activations `[..., d_in]`, all >= 0."""
        latents, values = self.choose(x.flatten(0, -2))
        z = torch.zeros(len(latents), len(self.W_dec), dtype=x.dtype)
        return z.scatter_add_(1, latents, values).unflatten(0, x.shape[:-1])

    def error(self, x: Tensor) -> Tensor:
        """What is left of activations `[n, d_in]` after k steps; gradients flow through the values, not the choice."""
        latents, values = self.choose(x)
        rest = x - self.b_dec
        for taken, value in zip(latents.T, values.T, strict=True):
            row = self.W_dec[taken]
            product = (rest * row).sum(1, keepdim=True)
            rest = rest - torch.where(value[:, None] > 0, product, 0) * row
        return rest

    @torch.no_grad()
    def normalise(self) -> None:
        """Rows to unit length, after each step of an optimiser."""
        self.W_dec.copy_(normalize(self.W_dec, dim=1))
