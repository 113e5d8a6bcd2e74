"""SAEs of which one half is random for ever: what the other half can do alone (arXiv 2602.14111)."""

from __future__ import annotations

from typing import Literal

import torch
from torch.nn.functional import normalize

from hsae.sae.model import SparseAutoencoder

Frozen = Literal["none", "encoder", "decoder"]
WEIGHTS: dict[Frozen, tuple[str, ...]] = {"none": (), "encoder": ("W_enc", "b_enc"), "decoder": ("W_dec",)}
"""Parameters that training leaves alone."""


@torch.no_grad()
def randomise(sae: SparseAutoencoder, generator: torch.Generator) -> None:
    """Replace the directions that it starts from by random ones, the same for both halves, at the length they had."""
    rows = normalize(torch.randn(sae.d_sae, sae.d_in, generator=generator), dim=-1).to(sae.W_dec.device)
    sae.W_dec.copy_(rows)
    sae.W_enc.copy_(sae.W_enc.norm(dim=0).mean() * rows.T)
