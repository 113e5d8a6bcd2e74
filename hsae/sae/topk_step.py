"""One training step, without autograd, of SAEs that take the k largest pre-activations of a token or of each group.

The parts that must reconstruct alone are nested prefixes of the latents, groups, or the largest 1, 8, ... latents.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate

import torch
from torch import Tensor

from hsae.sae.objective import Objective
from hsae.sae.outcome import Outcome
from hsae.sae.sparse_step import Pairs, constants, sparse_gradients
from hsae.sae.topk_search import Active, topk_search
from hsae.sae.weights import Weights

Search = Callable[[Tensor, Tensor, Tensor], Active]


class TopKStep:
    """Gradients of the weighted sum over parts of mean ||x_hat - x||^2 / d_in; buffers are kept between steps."""

    def __init__(
        self,
        objective: Objective,
        search: Callable[[int, int], Search] = topk_search,
        reads: torch.dtype = torch.float32,
    ) -> None:
        """search: makes of a number of latents and k what finds the k largest; reads: the precision of rows."""
        self.objective, self.reads = objective, reads
        groups = objective.columns if objective.group_ks else ((0, objective.d_sae),)
        ks = objective.group_ks or (objective.k,)
        self.searches = [(start, stop, search(stop - start, k)) for (start, stop), k in zip(groups, ks, strict=True)]

    @torch.no_grad()
    def __call__(self, sae: Weights, x: Tensor, weight: Tensor) -> Outcome:
        """Write the gradients for `x [batch, d_in]` into the parameters; W_enc must be stored row by row of latents."""
        centred = x - sae.b_dec
        return sparse_gradients(sae, centred, self.pairs(sae, centred), self.objective.weights, self.reads)

    def pairs(self, sae: Weights, centred: Tensor) -> Pairs:
        """The active latents of `centred [batch, d_in]`, in parts."""
        rows = sae.W_enc.T
        pieces = [search(centred, rows[a:b], sae.b_enc[a:b]) for a, b, search in self.searches]
        values = torch.cat([active.values for active in pieces], 1)
        indices = torch.cat([active.indices + a for active, (a, _, _) in zip(pieces, self.searches, strict=True)], 1)
        active, ends = self._parts(Active(values, indices))
        starts = torch.arange(len(values), device=values.device).unsqueeze(1) * values.shape[1] + ends
        return Pairs(active.values.flatten(), active.indices.flatten(), starts.flatten())

    def _parts(self, active: Active) -> tuple[Active, Tensor]:
        """The same latents in the order of their parts, and how many of a token's stand before each part."""

        def before(counts: tuple[int, ...]) -> Tensor:
            return constants(counts, torch.int64, active.indices.device)

        if self.objective.group_ks:
            return active, before((0, *accumulate(self.objective.group_ks[:-1])))
        if self.objective.ks:
            values, order = active.values.sort(dim=1, descending=True)
            return Active(values, active.indices.gather(1, order)), before((0, *self.objective.ks[:-1]))
        if len(self.objective.widths) == 1:
            return active, before((0,))
        indices, order = active.indices.sort(dim=1)
        first = before(tuple(start for start, _ in self.objective.columns)).expand(len(indices), -1)
        return Active(active.values.gather(1, order), indices), torch.searchsorted(indices, first.contiguous())
