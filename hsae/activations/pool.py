"""Shuffled batches from any source of tokens, in bounded memory: fill a pool, shuffle it, cut it, fill it again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator

import torch
from torch import Tensor

from hsae.errors import StoreError


class PoolSampler(ABC):
    """Batches `{layer: [tokens, d_in]}` of one epoch, in an order that depends on nothing but seed and epoch.

    Runs of tokens are read in random order into a pool of at least `buffer_tokens` tokens, which is shuffled and cut
    into batches; what is left over goes into the next pool. A source smaller than the pool is shuffled as a whole.
    """

    def __init__(
        self, widths: dict[str, int], run_tokens: list[int], *, batch_size: int, seed: int, buffer_tokens: int
    ) -> None:
        self.widths, self.run_tokens, self.batch_size = widths, run_tokens, batch_size
        self.seed, self.buffer_tokens = seed, max(buffer_tokens, batch_size)

    @property
    @abstractmethod
    def batches_per_epoch(self) -> int: ...

    @abstractmethod
    def read(self, run: int) -> dict[str, Tensor]:
        """The tokens of one run, `{layer: [tokens, d_in]}`: as many as stated, or fewer."""

    def order(self, generator: torch.Generator) -> list[int]:
        """The order in which an epoch reads the runs."""
        return torch.randperm(len(self.run_tokens), generator=generator).tolist()

    def reads(self, order: list[int]) -> Iterator[dict[str, Tensor]]:
        """What `read` gives for each run."""
        return map(self.read, order)

    def own(self, places: Tensor) -> Tensor:
        """Which places of a batch are this process's."""
        return places

    def epoch(self, number: int, start: int = 0) -> Iterator[dict[str, Tensor]]:
        """The batches of epoch `number` (0-based) from batch `start` on."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        done = 0
        while done < self.batches_per_epoch:  # once, unless runs had fewer tokens than stated
            before = done
            for pool, places in self._batches(generator):
                if start <= done < self.batches_per_epoch:
                    yield {name: tokens[self.own(places)] for name, tokens in pool.items()}
                done += 1
            if done == before:
                raise StoreError(
                    "A whole epoch did not give one batch", f"{self.batch_size} tokens", "Look for broken images."
                )

    def first(self, n_tokens: int) -> dict[str, Tensor]:
        """About the first `n_tokens` tokens of epoch 0, before they are shared between processes."""
        parts: list[dict[str, Tensor]] = []
        for pool, places in self._batches(torch.Generator().manual_seed(self.seed * 1_000_003)):
            parts.append({name: tokens[places] for name, tokens in pool.items()})
            n_tokens -= len(places)
            if n_tokens <= 0:
                break
        return {name: torch.cat([part[name] for part in parts]) for name in self.widths}

    def _batches(self, generator: torch.Generator) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """The pool and the places of a batch in it, for all runs once."""
        room = min(sum(self.run_tokens), self.buffer_tokens + max(self.run_tokens))
        pool = {name: torch.empty(room, width) for name, width in self.widths.items()}
        order = self.order(generator)
        held = 0
        for position, found in enumerate(self.reads(order), start=1):
            held = _add(pool, held, found)
            if held < self.buffer_tokens and position < len(order):
                continue
            mixed = torch.randperm(held, generator=generator)
            whole = held - held % self.batch_size
            for places in mixed[:whole].split(self.batch_size) if whole else ():
                yield pool, places
            for tokens in pool.values():
                tokens[: held - whole] = tokens[mixed[whole:]]
            held -= whole


def _add(pool: dict[str, Tensor], held: int, found: dict[str, Tensor]) -> int:
    for name, tokens in found.items():
        pool[name][held : held + len(tokens)] = tokens
    return held + len(tokens)
