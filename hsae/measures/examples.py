"""Labelled activations that a probe is fitted on, in memory or read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

Rows = tuple[Tensor, Tensor]
"""Activations `[n, d_in]` and their labels `[n]`."""


class Examples(Protocol):
    """Activations with a label each."""

    def __len__(self) -> int:
        """How many there are."""

    def rows(self, size: int) -> Iterator[Tensor]:
        """All of them in order, about `size` at once."""

    def steps(self, size: int) -> int:
        """Batches of an epoch."""

    def epochs(self, n: int, size: int, seed: int) -> Iterator[Rows]:
        """The batches of n epochs, each in an order of its own."""


@dataclass(frozen=True, eq=False)
class ExamplesInMemory:
    """Examples that are all there."""

    x: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def rows(self, size: int) -> Iterator[Tensor]:
        """Exactly `size` at once."""
        yield from self.x.split(size)

    def steps(self, size: int) -> int:
        """With the last one, which may be smaller."""
        return -(-len(self.x) // size)

    def epochs(self, n: int, size: int, seed: int) -> Iterator[Rows]:
        """Batches of n shuffles of the rows."""
        generator = torch.Generator().manual_seed(seed)
        for _ in range(n):
            for chosen in torch.randperm(len(self.x), generator=generator).split(size):
                yield self.x[chosen], self.labels[chosen]
