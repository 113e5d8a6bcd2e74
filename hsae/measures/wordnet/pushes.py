"""Which WordNet nodes a direction pushes towards: those whose classes it raises more than all others.

With p_c what the direction adds to the logit of class c, of a node with m of the n classes under it
    t = (mean of p in the node - mean of p outside) / (s sqrt(1/m + 1/(n - m))),   s: standard deviation of all p,
Student's statistic with the spread of all classes: of nested nodes the one that all of what is raised lies under has
the largest. A node counts when its t is above what the best node of 19 in 20 random directions reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from hsae.hierarchy import wordnet
from hsae.measures.probes import LinearProbe

_DIRECTIONS, _QUANTILE, _SEED = 400, 0.95, 0


@dataclass(frozen=True, eq=False)
class Pushes:
    """The nodes that a layer's probe can tell apart, and how far chance goes with them."""

    probe: LinearProbe
    nodes: tuple[str, ...]
    """Those with some of the classes under them, but not all; of several with the same classes the lowest one."""
    members: Tensor
    """bool `[n_nodes, n_classes]`."""
    chance: float
    """The 95 % quantile of the largest t over random directions."""

    @classmethod
    def of(cls, probe: LinearProbe, nodes: Sequence[str], members: np.ndarray) -> Pushes:
        """nodes, members `[n_nodes, n_classes]` bool: all of a taxonomy's."""
        down = sorted(zip(nodes, members, strict=True), key=lambda pair: len(wordnet().path(pair[0])))
        lowest = {row.tobytes(): (node, row) for node, row in down if row.any() and not row.all()}
        known, rows = tuple(node for node, _ in lowest.values()), [row for _, row in lowest.values()]
        under = torch.from_numpy(np.array(rows, dtype=bool).reshape(len(rows), members.shape[1]))
        random = torch.randn(_DIRECTIONS, len(probe.std), generator=torch.Generator().manual_seed(_SEED))
        best = push_scores(probe.pushed(random), under).amax(-1) if known else torch.zeros(1)
        return cls(probe, known, under, float(best.quantile(_QUANTILE)))

    def towards(self, direction: Tensor, most: int = 2) -> list[str]:
        """The nodes a direction `[d_in]` pushes towards, the clearest first, none above another; maybe none."""
        if not self.nodes:
            return []
        scores = push_scores(self.probe.pushed(direction), self.members)
        found, covered = list[str](), torch.zeros(self.members.shape[1], dtype=torch.bool)
        for at in scores.argsort(descending=True, stable=True).tolist():
            if len(found) == most or not scores[at] > self.chance:
                break
            if not (self.members[at] & covered).any():
                found.append(self.nodes[at])
                covered |= self.members[at]
        return found


def push_scores(pushed: Tensor, members: Tensor) -> Tensor:
    """t of every node `[..., n_nodes]` for changes of logits `[..., n_classes]`; 0 where all classes change alike."""
    inside = members.to(pushed.dtype)
    m, n = inside.sum(1), members.shape[1]
    sums = pushed @ inside.T
    apart = sums / m - (pushed.sum(-1, keepdim=True) - sums) / (n - m)
    spread = pushed.std(-1, keepdim=True) * (1 / m + 1 / (n - m)).sqrt()
    return (apart / spread).nan_to_num(0.0, 0.0, 0.0)
