"""Latents that stopped firing: how long they have been silent, and two ways to bring them back."""

from __future__ import annotations

import torch
from torch import Tensor

from hsae.sae.activation_fns import topk
from hsae.sae.model import SparseAutoencoder
from hsae.sae.parallel import batch_mean
from hsae.sae.weights import Weights

REFRESH = 50
"""On a GPU, steps between two looks at which latents are dead: the host waits for their number."""


class DeadTracker:
    """Counts, for each latent, the tokens since it last fired."""

    def __init__(self, d_sae: int, dead_after: int, device: torch.device | str = "cpu") -> None:
        self.silent = torch.zeros(d_sae, dtype=torch.int64, device=device)
        self.dead_after = dead_after
        self._refresh = 0 if torch.device(device).type == "cpu" else REFRESH
        self._seen = torch.zeros(0, dtype=torch.int64, device=device)
        self._age = 0

    def update(self, fired: Tensor, n_tokens: int) -> None:
        """fired `[d_sae]` bool: which latents were active on any of the last `n_tokens` tokens."""
        self.silent.add_(n_tokens).masked_fill_(fired, 0)
        self._age += 1

    @property
    def dead(self) -> Tensor:
        """Indices of the dead latents; on a GPU, of those that were dead when it was last looked."""
        if self._age >= self._refresh:
            self._seen, self._age = (self.silent >= self.dead_after).nonzero().squeeze(-1), 0
        return self._seen

    def look_again(self) -> None:
        """What was seen before is of no use any more."""
        self._age = self._refresh


def auxk_loss(sae: Weights, x: Tensor, error: Tensor, dead: Tensor, lifted: bool = False) -> Tensor:
    """The share of the error that the dead latents cannot explain: ||e - e_hat||^2 / ||e||^2 (arXiv 2406.04093).

    e = x - x_hat `[batch, d_in]` without gradient; e_hat is decoded from the d_in / 2 largest dead latents. lifted:
    their biases count as 0 and get a gradient that raises them, where a dead latent is negative on every token.
    """
    centred, bias = x - sae.b_dec.detach(), sae.b_enc[dead]
    pre = centred @ sae.W_enc[:, dead] + (0 if lifted else bias)
    e_hat = topk(pre, min(len(dead), max(1, sae.d_in // 2))) @ sae.W_dec[dead]
    share = (error - e_hat).pow(2).sum() / batch_mean(error.pow(2).sum(), sae.processes).clamp_min(1e-12)
    return share - (bias - bias.detach()).mean() if lifted else share


@torch.no_grad()
def resample(sae: SparseAutoencoder, dead: Tensor, x: Tensor, error: Tensor, generator: torch.Generator) -> None:
    """Point dead latents at tokens drawn by their squared error.

    x, error `[batch, d_in]` (Bricken et al. 2023, transformer-circuits.pub/2023/monosemantic-features: with encoders
    of 0.2 times the living ones' length; where latents compete for k places, such weak ones would never win one).
    """
    chosen = torch.multinomial(error.pow(2).sum(-1).cpu(), len(dead), replacement=True, generator=generator)
    rows = torch.nn.functional.normalize((x - sae.b_dec)[chosen.to(x.device)], dim=-1)
    living = torch.ones(sae.d_sae, dtype=torch.bool, device=x.device).index_fill_(0, dead, False)
    length = sae.W_enc[:, living].norm(dim=0).mean() if living.any() else sae.W_enc.new_ones(())
    sae.W_dec[dead] = rows
    sae.W_enc[:, dead] = (1.0 if sae.variant.uses_k else 0.2) * length * rows.T
    sae.b_enc[dead] = 0.0
