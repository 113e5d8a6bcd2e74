"""The latents of each token above a bar per latent, found without keeping anything of size batch x d_sae.

Hardware that knows bfloat16 multiplies it twice as fast: there, candidates are all latents that may be above the bar
within the error of rounding, and their pre-activations are computed again in float32, so that none is missed.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from hsae.sae.bags import products
from hsae.sae.topk_search import CHUNK, multiplies_bfloat16

ROUNDING = 2.0**-9
"""Largest relative error of a number in bfloat16."""


class ThresholdSearch:
    """(token, latent) pairs in rising order with their pre-activations; the buffer is kept between calls."""

    def __init__(self, d_sae: int) -> None:
        self.rounded = multiplies_bfloat16()
        self.pre = torch.empty(CHUNK, d_sae, dtype=torch.bfloat16 if self.rounded else torch.float32)
        self.above = torch.empty(CHUNK, d_sae, dtype=torch.bool)

    def __call__(
        self, centred: Tensor, rows: Tensor, b_enc: Tensor, bar: Tensor, most: int
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """Tokens, latents and pre-activations `[n]` where pre > bar, given centred `[batch, d_in]` and encoder rows.

        None when a part of the tokens has more than `most` candidates per token.
        """
        lengths = rows.norm(dim=1)
        encoder = rows.bfloat16() if self.rounded else rows
        pieces = []
        for first in range(0, len(centred), CHUNK):
            some = centred[first : first + CHUNK]
            candidates = self._candidates(some, encoder, b_enc - bar, lengths)
            if len(candidates) > most * len(some):
                return None
            tokens, latents = candidates.div(len(rows), rounding_mode="floor"), candidates % len(rows)
            starts = torch.searchsorted(tokens, torch.arange(len(some)))
            values = products(some, rows, latents, starts, tokens).add_(b_enc[latents])
            kept = values > bar[latents]
            pieces.append((first + tokens[kept], latents[kept], values[kept]))
        tokens, latents, values = (torch.cat(part) for part in zip(*pieces, strict=True))
        return tokens, latents, values

    def _candidates(self, centred: Tensor, encoder: Tensor, offset: Tensor, lengths: Tensor) -> Tensor:
        """Places in `[tokens, d_sae]` of what may be above the bar."""
        pre, above = self.pre[: len(centred)], self.above[: len(centred)]
        if self.rounded:  # both factors are rounded: |error| <= 2 ROUNDING |x| |w|, and so is the offset
            offset = offset + 1.02 * ROUNDING * (2 * centred.norm(dim=1).max() * lengths + offset.abs())
            centred = centred.bfloat16()
        torch.addmm(offset.to(encoder.dtype), centred, encoder.T, out=pre)
        torch.gt(pre, 0, out=above)
        return torch.from_numpy(np.flatnonzero(above.numpy()))
