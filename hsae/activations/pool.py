"""Shuffled batches from any source of tokens, in bounded memory: fill a pool, shuffle it, cut it, fill it again."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from itertools import islice

import torch
from torch import Tensor

CPU = torch.device("cpu")


def sent(tokens: Tensor, device: torch.device) -> Tensor:
    """The tensor on a device: to a GPU from memory that its own copy engine reads, so that the host does not wait."""
    if tokens.device.type == device.type:
        return tokens
    return (tokens.pin_memory() if device.type == "cuda" else tokens).to(device, non_blocking=True)


class PoolSampler(ABC):
    """Batches `{layer: [tokens, d_in]}` of one epoch, in an order that depends on nothing but seed and epoch.

    Runs of tokens are read in random order into a pool of at least `buffer_tokens` tokens, which is shuffled and cut
    into batches; what is left over goes into the next pool. A source smaller than the pool is shuffled as a whole.
    """

    device = CPU
    """Where the pool and its batches lie: a GPU gets every token once, as it is stored, and mixes them faster."""

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
        """The tokens of one run, `{layer: [tokens, d_in]}`: as many as stated in `run_tokens`, of any precision."""

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
        """The batches of epoch `number` (0-based) from batch `start` on; runs used up before it are not read."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        for pool, places in islice(self._batches(generator, start), self.batches_per_epoch - start):
            own = sent(self.own(places), self.device)
            yield {name: tokens[own] for name, tokens in pool.items()}

    def first(self, n_tokens: int) -> dict[str, Tensor]:
        """About the first `n_tokens` tokens of epoch 0 on the CPU, before they are shared between processes."""
        parts: dict[str, list[Tensor]] = {name: [] for name in self.widths}
        for pool, places in self._batches(torch.Generator().manual_seed(self.seed * 1_000_003)):
            for name, tokens in pool.items():
                parts[name].append(tokens[sent(places, self.device)].cpu())
            n_tokens -= len(places)
            if n_tokens <= 0:
                break
        return {name: torch.cat(parts.pop(name)) for name in self.widths}

    def _batches(self, generator: torch.Generator, start: int = 0) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """The pool and the places of a batch in it, for all runs once, from batch `start` on.

        Until then only the origins of the tokens are shuffled: the turn of their run in the order, the place in it.
        """
        room = min(sum(self.run_tokens), self.buffer_tokens + max(self.run_tokens))
        pool = {name: torch.empty(room, width, device=self.device) for name, width in self.widths.items()}
        origin = torch.empty(room, 2, dtype=torch.int64)
        order, reads, held, filled = self.order(generator), None, 0, 0
        for turn, run in enumerate(order):
            held = _enter(origin, held, turn, self.run_tokens[run])
            if held < self.buffer_tokens and turn < len(order) - 1:
                continue
            mixed = torch.randperm(held, generator=generator)
            batches = mixed[: held - held % self.batch_size].split(self.batch_size) if held >= self.batch_size else ()
            if start < len(batches):
                turns = origin[filled:held, 0].unique().tolist()  # in rising order, as a stream must be read
                reads = reads or self.reads([*(order[t] for t in turns), *order[turn + 1 :]])
                for t, tokens_of_turn in zip(turns, reads, strict=False):
                    _put(pool, origin[:held], filled, t, tokens_of_turn)
                yield from ((pool, places) for places in batches[start:])
            start = max(0, start - len(batches))
            rest = mixed[len(batches) * self.batch_size :]
            for tensor in (origin, *pool.values()) if reads else (origin,):
                tensor[: len(rest)] = tensor[sent(rest, tensor.device)]
            held, filled = len(rest), len(rest) if reads else 0


def _enter(origin: Tensor, held: int, turn: int, n_tokens: int) -> int:
    """Note the origin of new tokens behind the `held` ones; how many there are now."""
    new = origin[held : held + n_tokens]
    new[:, 0], new[:, 1] = turn, torch.arange(n_tokens)
    return held + n_tokens


def _put(pool: dict[str, Tensor], origin: Tensor, first: int, turn: int, tokens_of_turn: dict[str, Tensor]) -> None:
    """Put the tokens of one turn to their places in the pool, from place `first` on."""
    places = first + (origin[first:, 0] == turn).nonzero().squeeze(1)
    device = next(iter(pool.values())).device
    there, these = sent(places, device), sent(origin[places, 1], device)
    for name, tokens in tokens_of_turn.items():
        pool[name][there] = sent(tokens, device)[these].float()
