"""Labelled images of one layer that stay on the disk: read in order part by part, or shuffled through a pool."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from hsae.activations.pool import PoolSampler
from hsae.activations.store import ActivationStore
from hsae.errors import InputError

POOL_BYTES = 2**28
"""Of shuffled activations that are in memory at once."""


class StoredImages:
    """Some images of a store at one layer, in its place of `LabelledActivations`."""

    def __init__(self, store: ActivationStore, layer: str, images: Tensor, labels: Tensor) -> None:
        """images: rising numbers of those wanted; labels: their class indices (-1: none)."""
        counts = {tokens for n, tokens in store.shard_shapes if n}
        if len(counts) != 1:
            raise InputError(f"images of {sorted(counts)} tokens in {store.folder}", "the same number for every image")
        (self.tokens,) = counts
        self.store, self.layer, self.images, self.labels = store, layer, images, labels

    def subset(self, images: Tensor) -> StoredImages:
        """Some of the images: a mask or their numbers."""
        return StoredImages(self.store, self.layer, self.images[images], self.labels[images])

    @property
    def known(self) -> StoredImages:
        """Those that have a label."""
        return self.subset(self.labels >= 0)

    def parts(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Activations `[images, tokens, d_in]` and labels `[images]`, a shard at a time."""
        for shard, places, labels in self._by_shard():
            yield self.store.shard(shard, self.layer)[places], labels

    def __len__(self) -> int:
        """Number of tokens."""
        return len(self.images) * self.tokens

    def rows(self, size: int) -> Iterator[Tensor]:
        """All activations `[n, d_in]` in order, at most `size` at once."""
        for x, _ in self.parts():
            yield from x.flatten(0, 1).split(size)

    def steps(self, size: int) -> int:
        """Batches of an epoch: what is left over is dropped."""
        return len(self) // size

    def epochs(self, n: int, size: int, seed: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Shuffled activations `[size, d_in]` with the labels of their images."""
        shuffled = _Shuffled(self, size, seed)
        for number in range(n):
            for batch in shuffled.epoch(number):
                yield batch["x"], batch["label"].squeeze(1).long()

    def _by_shard(self) -> Iterator[tuple[int, Tensor, Tensor]]:
        """Shard, places in it and labels of the images, without shards that have none of them."""
        first = 0
        for shard, (n, _) in enumerate(self.store.shard_shapes):
            here = (self.images >= first) & (self.images < first + n)
            if here.any():
                yield shard, self.images[here] - first, self.labels[here]
            first += n


class _Shuffled(PoolSampler):
    """The tokens of stored images and the labels of their images, side by side."""

    def __init__(self, source: StoredImages, size: int, seed: int) -> None:
        self.source, self.runs = source, list(source._by_shard())
        d_in = source.store.layers[source.layer]
        tokens = [len(places) * source.tokens for _, places, _ in self.runs]
        widths = {"x": d_in, "label": 1}  # a float holds 16 million classes exactly
        super().__init__(widths, tokens, batch_size=size, seed=seed, buffer_tokens=POOL_BYTES // (4 * d_in))

    @property
    def batches_per_epoch(self) -> int:
        return sum(self.run_tokens) // self.batch_size

    def read(self, run: int) -> dict[str, Tensor]:
        """One shard's images."""
        shard, places, labels = self.runs[run]
        x = self.source.store.shard(shard, self.source.layer)[places]
        each = labels.repeat_interleave(self.source.tokens)
        return {"x": x.flatten(0, 1), "label": each[:, None].float()}
