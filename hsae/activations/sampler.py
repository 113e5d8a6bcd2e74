"""Shuffled batches from a store: the same tokens for every layer, bounded memory, one read of each shard per epoch."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from hsae.activations.store import ActivationStore
from hsae.errors import InputError


class TokenSampler:
    """Batches `{layer: [batch_size, d_in]}` of one epoch, in an order that depends on nothing but seed and epoch.

    Shards are read in random order into a buffer of at least `buffer_tokens` tokens, which is shuffled and cut into
    batches; what is left over goes into the next buffer. A store smaller than the buffer is shuffled as a whole.
    The last, incomplete batch of an epoch is dropped.
    """

    def __init__(
        self,
        store: ActivationStore,
        layers: tuple[str, ...],
        *,
        batch_size: int,
        seed: int = 0,
        buffer_tokens: int = 65_536,
    ) -> None:
        if store.n_tokens < batch_size:
            raise InputError(
                f"a batch of {batch_size} tokens from a store of {store.n_tokens}",
                f"batch_size of at most {store.n_tokens}",
                "Choose a smaller batch_size or extract more images.",
            )
        self.store, self.layers, self.batch_size = store, layers, batch_size
        self.seed, self.buffer_tokens = seed, max(buffer_tokens, batch_size)

    @property
    def batches_per_epoch(self) -> int:
        return self.store.n_tokens // self.batch_size

    def epoch(self, number: int) -> Iterator[dict[str, Tensor]]:
        """The batches of epoch `number` (0-based)."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + number)
        buffer: list[dict[str, Tensor]] = []
        held = 0
        order = torch.randperm(self.store.n_shards, generator=generator).tolist()
        for position, shard in enumerate(order, start=1):
            buffer.append({name: self.store.shard(shard, name).flatten(0, 1) for name in self.layers})
            held += self.store.shard_tokens[shard]
            last = position == len(order)
            if held < self.buffer_tokens and not last:
                continue
            tokens = {name: torch.cat([part[name] for part in buffer]) for name in self.layers}
            mixed = torch.randperm(held, generator=generator)
            whole = held - held % self.batch_size
            for rows in mixed[:whole].split(self.batch_size):
                yield {name: tokens[name][rows] for name in self.layers}
            rest = mixed[whole:]
            buffer, held = [{name: tokens[name][rest] for name in self.layers}], len(rest)
