"""Are directions nearly orthogonal, as superposition needs them to be?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import normalize

_ROWS = 1024  # directions compared with all others at once


@dataclass(frozen=True)
class Orthogonality:
    """Cosines of pairs of directions, without their signs, in [0, 1]; NaN for fewer than two directions."""

    mean: float
    """Over all pairs; sqrt(2 / (pi d_in)) for random directions of d_in dimensions."""
    nearest: float
    """With the most similar other direction, median over directions."""


@torch.no_grad()
def orthogonality(directions: Tensor) -> Orthogonality:
    """Of directions `[n, d_in]` of any length but 0."""
    n, unit = len(directions), normalize(directions.detach().float(), dim=-1)
    if n < 2:
        return Orthogonality(math.nan, math.nan)
    total, nearest = 0.0, []
    for start in range(0, n, _ROWS):
        cosines = (unit[start : start + _ROWS] @ unit.T).abs()
        cosines[torch.arange(len(cosines)), torch.arange(start, start + len(cosines))] = 0  # with itself
        total += cosines.double().sum().item()
        nearest.append(cosines.amax(dim=1))
    return Orthogonality(total / (n * n - n), torch.cat(nearest).median().item())


def random_orthogonality(n: int, d_in: int, seed: int = 0) -> Orthogonality:
    """Of n directions drawn evenly from all of d_in dimensions: what chance gives."""
    return orthogonality(torch.randn(n, d_in, generator=torch.Generator().manual_seed(seed)))
