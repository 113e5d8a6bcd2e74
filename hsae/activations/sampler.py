"""Shuffled batches from a store: the same tokens for every layer, each token read once per epoch."""

from __future__ import annotations

from torch import Tensor

from hsae.activations.pool import PoolSampler
from hsae.activations.store import ActivationStore
from hsae.errors import InputError


class TokenSampler(PoolSampler):
    """Every token of the store once an epoch; the last, incomplete batch is dropped.

    Shards with many tokens are read in parts. With `share=(rank, of)` each of `of` processes gets every of-th token of
    the same batches, so that together they see what one process would.
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
        self.tokens = store.part.tokens if store.part else store.n_tokens
        if self.tokens < batch_size:
            raise InputError(
                f"a batch of {batch_size} tokens from a store of {self.tokens}",
                f"batch_size of at most {self.tokens}",
                "Choose a smaller batch_size or extract more images.",
            )
        self.store, self.share = store, share
        self.parts, in_parts = _parts(store, max(buffer_tokens, batch_size) // 4)
        widths = {name: store.layers[name] for name in layers}
        super().__init__(widths, in_parts, batch_size=batch_size, seed=seed, buffer_tokens=buffer_tokens)

    @property
    def batches_per_epoch(self) -> int:
        return self.tokens // self.batch_size

    def read(self, run: int) -> dict[str, Tensor]:
        """Some images of a shard, as they are stored."""
        shard, images = self.parts[run]
        return {name: self.store.stored(shard, name, images).flatten(0, 1) for name in self.widths}

    def own(self, places: Tensor) -> Tensor:
        """Every of-th place."""
        return places[self.share[0] :: self.share[1]]


def _parts(store: ActivationStore, most_tokens: int) -> tuple[list[tuple[int, slice]], list[int]]:
    """The store cut into (shard, images) of at most `most_tokens` tokens where possible, and their tokens."""
    parts, tokens = [], []
    for shard, (n_images, per_image) in enumerate(store.shard_shapes):
        step = max(1, most_tokens // max(1, per_image))
        for first in range(0, n_images, step):
            images = slice(first, min(first + step, n_images))
            parts.append((shard, images))
            tokens.append((images.stop - images.start) * per_image)
    return parts, tokens
