"""Shuffled batches from a store: the same tokens for every layer, bounded memory, one read of each token per epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hsae.activations.store import ActivationStore
from hsae.errors import InputError


class TokenSampler:
    """Batches `{layer: [batch_size, d_in]}` of one epoch, in an order that depends on nothing but seed and epoch.

    Runs of images are read in random order into a pool of at least `buffer_tokens` tokens, which is shuffled and cut
    into batches; what is left over goes into the next pool. A store smaller than the pool is shuffled as a whole.
    The last, incomplete batch of an epoch is dropped. With `share=(rank, of)` each of `of` processes gets every
    of-th token of the same batches, so that together they see what one process would.
    """

    def __init__(
        self,
        store: ActivationStore,
        layers: tuple[str, ...],
        *,
        batch_size: int,
        seed: int = 0,
        buffer_tokens: int = 65_536,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        if store.n_tokens < batch_size:
            raise InputError(
                f"a batch of {batch_size} tokens from a store of {store.n_tokens}",
                f"batch_size of at most {store.n_tokens}",
                "Choose a smaller batch_size or extract more images.",
            )
        self.store, self.layers, self.batch_size, self.share = store, layers, batch_size, share
        self.seed, self.buffer_tokens = seed, max(buffer_tokens, batch_size)
        self._runs = _runs(store, self.buffer_tokens // 4)

    @property
    def batches_per_epoch(self) -> int:
        return self.store.n_tokens // self.batch_size

    def epoch(self, number: int, start: int = 0) -> Iterator[dict[str, Tensor]]:
        """The batches of epoch `number` (0-based) from batch `start` on."""
        for pool, rows in self._places(number):
            for places in rows.split(self.batch_size):
                if start > 0:
                    start -= 1
                    continue
                mine = places[self.share[0] :: self.share[1]]
                yield {name: tokens[mine] for name, tokens in pool.items()}

    def first(self, n_tokens: int) -> dict[str, Tensor]:
        """About the first `n_tokens` tokens of epoch 0, the same for every share."""
        parts: list[dict[str, Tensor]] = []
        for pool, rows in self._places(0):
            parts.append({name: tokens[rows[:n_tokens]] for name, tokens in pool.items()})
            n_tokens -= len(rows)
            if n_tokens <= 0:
                break
        return {name: torch.cat([part[name] for part in parts]) for name in self.layers}

    def _places(self, number: int) -> Iterator[tuple[dict[str, Tensor], Tensor]]:
        """Filled pools, each with the shuffled places of its whole batches."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        longest = max(tokens for *_, tokens in self._runs)
        room = min(self.store.n_tokens, self.buffer_tokens + longest)
        pool = {name: torch.empty(room, self.store.layers[name]) for name in self.layers}
        held = 0
        order = torch.randperm(len(self._runs), generator=generator).tolist()
        for position, run in enumerate(order, start=1):
            held = self._read(pool, held, run)
            if held < self.buffer_tokens and position < len(order):
                continue
            mixed = torch.randperm(held, generator=generator)
            whole = held - held % self.batch_size
            if whole:
                yield pool, mixed[:whole]
            rest = mixed[whole:]
            for tokens in pool.values():
                tokens[: len(rest)] = tokens[rest]
            held = len(rest)

    def _read(self, pool: dict[str, Tensor], held: int, run: int) -> int:
        shard, images, tokens = self._runs[run]
        for name in self.layers:
            pool[name][held : held + tokens] = self.store.shard(shard, name, images).flatten(0, 1)
        return held + tokens


def _runs(store: ActivationStore, most_tokens: int) -> list[tuple[int, slice, int]]:
    """The store cut into (shard, images, tokens): whole shards, or parts of shards with more than `most_tokens`."""
    runs = []
    for shard, (n_images, per_image) in enumerate(store.shard_shapes):
        step = max(1, most_tokens // max(1, per_image))
        for first in range(0, n_images, step):
            images = slice(first, min(first + step, n_images))
            runs.append((shard, images, (images.stop - images.start) * per_image))
    return runs
