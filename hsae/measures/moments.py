"""Mean and covariance of activations that come part by part, so that they need never be in memory together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

_ROWS = 4096  # in double precision at once


@dataclass(frozen=True, eq=False)
class Moments:
    """Of activations `[n, d_in]`, in float64."""

    mean: Tensor
    """`[d_in]`."""
    covariance: Tensor
    """Mean of (x - mean)(x - mean)^T, `[d_in, d_in]`."""


def moments(parts: Iterable[Tensor]) -> Moments:
    """Moments of all rows of `parts [n, d_in]`, each part read once."""
    rows = (few.double() for part in parts for few in part.split(_ROWS))
    count, shift, total, squares = 0, torch.zeros(()), torch.zeros(()), torch.zeros(())
    for few in rows:
        if not count:
            shift = few.mean(0)  # sums of squares far from zero would lose the variance
        centred = few - shift
        count, total, squares = count + len(few), total + centred.sum(0), squares + centred.T @ centred
    offset = total / max(1, count)
    return Moments(shift + offset, squares / max(1, count) - torch.outer(offset, offset))
