"""Activations straight from the backbone: images -> backbone -> shuffle pool -> batches, nothing on the disk.

For patch tokens, of which a data set has hundreds of times more than a disk should hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from hsae.activations.extract import describe_activations
from hsae.activations.pool import PoolSampler
from hsae.backbones.base import Backbone, Token
from hsae.data.samples import Samples
from hsae.errors import InputError


class OnlineActivations:
    """What a store would hold, computed whenever it is asked for; `train_bank` takes one in a store's place."""

    def __init__(
        self,
        backbone: Backbone,
        samples: Samples,
        layers: Sequence[str] | Literal["all"] = "all",
        token: Token = "patch",
        *,
        images_per_run: int = 32,
    ) -> None:
        if len(samples) == 0:
            raise InputError(f"The data set {samples.name} has no images", "at least one")
        self.backbone, self.samples, self.token, self.images_per_run = backbone, samples, token, images_per_run
        names = backbone.layer_names(layers)
        self.manifest = describe_activations(backbone, samples, names, token, images_per_run, torch.float32)
        counts = {tokens.shape[1] for tokens in self.tokens(range(min(8, len(samples))), names).values()}
        if len(counts) != 1:
            raise InputError(f"layers with {sorted(counts)} tokens an image", "the same number in all layers")
        (self.tokens_per_image,) = counts

    @property
    def layers(self) -> dict[str, int]:
        """Width by layer name, in model order."""
        return self.manifest.layers

    @torch.inference_mode()
    def tokens(self, rows: Sequence[int], layers: Sequence[str]) -> dict[str, Tensor]:
        """Activations `[images, tokens, d_in]` of some images, float32 on the CPU; broken images are left out."""
        images = [sample.image for _, sample in self.samples.subset(list(rows)).rows() if sample is not None]
        if not images:
            return {name: torch.empty(0, 1, self.layers[name]) for name in layers}
        pixels = self.backbone.preprocessing(images).to(self.backbone.device, self.backbone.dtype)
        found = self.backbone.run_pixels(pixels, layers)
        return {name: self.backbone.select_token(found[name], name, self.token).float().cpu() for name in layers}


class OnlineSampler(PoolSampler):
    """Images in random order through the backbone into the pool.

    With `share=(rank, of)` each process runs its own images. Where images are broken, others are run again, so that
    every epoch has the same number of batches on every process.
    """

    def __init__(
        self,
        source: OnlineActivations,
        layers: tuple[str, ...],
        *,
        batch_size: int,
        seed: int = 0,
        buffer_tokens: int = 65_536,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        self.source, (rank, of) = source, share
        n_tokens = len(source.samples) // of * source.tokens_per_image
        if n_tokens < batch_size // of:
            raise InputError(
                f"a batch of {batch_size} tokens from {len(source.samples)} images of {source.tokens_per_image} tokens",
                f"batch_size of at most {n_tokens * of}",
            )
        shuffled = torch.randperm(len(source.samples), generator=torch.Generator().manual_seed(seed))
        self.runs = [run.tolist() for run in shuffled[rank::of].split(source.images_per_run)]
        super().__init__(
            {name: source.layers[name] for name in layers},
            [len(run) * source.tokens_per_image for run in self.runs],
            batch_size=batch_size // of,
            seed=seed * of + rank,
            buffer_tokens=buffer_tokens,
        )
        self._batches_per_epoch = n_tokens // self.batch_size

    @property
    def batches_per_epoch(self) -> int:
        return self._batches_per_epoch

    def read(self, run: int) -> dict[str, Tensor]:
        """The tokens of `images_per_run` images, less the broken ones."""
        found = self.source.tokens(self.runs[run], tuple(self.widths))
        return {name: tokens.flatten(0, 1) for name, tokens in found.items()}
