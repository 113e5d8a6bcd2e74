"""One training step without autograd of SAEs whose latents decide alone, at a low L0: all but the encoder is sparse.

relu: dense by chunks when many latents are active. jumprelu: a pair near its threshold, |pre - t| < w / 2, active or
not, gives the threshold its gradient, -(t / w) dz of the reconstruction and -1 / w of the L0 (arXiv 2407.14435).
"""

from __future__ import annotations

import torch
from torch import Tensor

from hsae.sae.bags import products
from hsae.sae.objective import Objective
from hsae.sae.outcome import Outcome
from hsae.sae.parallel import batch_mean
from hsae.sae.relu_step import ReLUStep
from hsae.sae.sparse_step import Pairs, reconstruct, write_gradients
from hsae.sae.threshold_search import ThresholdSearch
from hsae.sae.weights import Weights

DENSE = 8
"""With more candidates per token than one in so many of the latents, a dense step is faster."""


class SparseReLUStep:
    """Gradients of the parts' mean ||x_hat - x||^2 / d_in + l1 mean sum z."""

    def __init__(self, objective: Objective) -> None:
        self.objective, self.dense = objective, ReLUStep(objective)
        self.search = ThresholdSearch(objective.d_sae)

    @torch.no_grad()
    def __call__(self, sae: Weights, x: Tensor, l1: Tensor) -> Outcome:
        """Write the gradients for `x [batch, d_in]` into the parameters; W_enc must be stored row by row of latents."""
        centred = x - sae.b_dec
        most = self.objective.d_sae // DENSE
        candidates = self.search(centred, sae.W_enc.T, sae.b_enc, torch.zeros_like(sae.b_enc), most)
        if candidates is None:
            return self.dense(sae, x, l1)
        pairs = _pairs(self.objective, len(x), *candidates)
        loss, error, toward = reconstruct(sae.W_dec, centred, pairs, self.objective.weights)
        bags = pairs.bags()
        slopes = products(toward.view(-1, sae.d_in), sae.W_dec, pairs.latents, pairs.starts, bags).add_(l1 / len(x))
        counts = write_gradients(sae, centred, pairs, toward, bags, slopes)
        return Outcome(loss + l1 * pairs.values.sum() / len(x), error, counts)


class SparseJumpStep:
    """Gradients of the parts' mean ||x_hat - x||^2 / d_in + weight (L0 / k - 1)^2."""

    def __init__(self, objective: Objective) -> None:
        self.objective, self.search = objective, ThresholdSearch(objective.d_sae)

    @torch.no_grad()
    def __call__(self, sae: Weights, x: Tensor, weight: Tensor) -> Outcome:
        """Write the gradients for `x [batch, d_in]` into the parameters; W_enc must be stored row by row of latents."""
        centred, t, w = x - sae.b_dec, sae.threshold, sae.window
        candidates = self.search(centred, sae.W_enc.T, sae.b_enc, t - w / 2, sae.d_sae)
        assert candidates is not None  # no token has more latents than there are
        _, latents, pre = candidates
        bars = t[latents]
        fires = (pre > bars) & (pre > 0)
        active, silent = (
            _pairs(self.objective, len(x), *(part[which] for part in candidates)) for which in (fires, ~fires)
        )
        loss, error, toward = reconstruct(sae.W_dec, centred, active, self.objective.weights)
        bags = active.bags()
        slopes = products(toward.view(-1, sae.d_in), sae.W_dec, active.latents, active.starts, bags)
        off = batch_mean((pre > bars).sum() / len(x), sae.processes) / sae.k - 1
        sparser = weight * (2 * off / sae.k / len(x))
        t.grad = torch.zeros_like(t)
        missed = products(toward.view(-1, sae.d_in), sae.W_dec, silent.latents, silent.starts, silent.bags())
        for pairs, dz in ((active, slopes), (silent, missed)):
            bars = t[pairs.latents]
            near = (pairs.values - bars).abs() < w / 2
            t.grad.index_add_(0, pairs.latents, -(bars * dz + sparser) / w * near)
        counts = write_gradients(sae, centred, active, toward, bags, slopes)
        return Outcome(loss + weight * off.pow(2), error, counts)


def jump_step(objective: Objective) -> SparseJumpStep | None:
    """Sparse if the target L0 is low; otherwise none."""
    return SparseJumpStep(objective) if objective.k * DENSE <= objective.d_sae else None


def _pairs(objective: Objective, batch: int, tokens: Tensor, latents: Tensor, values: Tensor) -> Pairs:
    """Pairs in the order of tokens and latents, cut into the parts of each token."""
    first = torch.tensor([start for start, _ in objective.columns])
    edges = torch.arange(batch).unsqueeze(1) * objective.d_sae + first
    return Pairs(values, latents, torch.searchsorted(tokens * objective.d_sae + latents, edges.flatten()))
