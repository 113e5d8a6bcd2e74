"""Activations straight from the backbone: images -> backbone -> shuffle pool -> batches, nothing on the disk.

For patch tokens, of which a data set has hundreds of times more than a disk should hold.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, Literal

import torch
from torch import Tensor

from hsae.activations.extraction import Extraction
from hsae.activations.loading import BATCHES_AHEAD, square
from hsae.activations.pool import CPU, PoolSampler
from hsae.backbones.base import Backbone, Token
from hsae.data.ahead import done_ahead
from hsae.data.samples import Samples
from hsae.data.stream import SampleStream
from hsae.errors import InputError, StoreError


class OnlineActivations:
    """What a store would hold, computed whenever it is asked for; `train_bank` takes one in a store's place.

    A stream must know how many rows to expect, by its `limit` or by what the data set says of itself.
    """

    def __init__(
        self,
        backbone: Backbone,
        samples: Samples | SampleStream,
        layers: Sequence[str] | Literal["all"] = "all",
        token: Token = "patch",
        *,
        images_per_run: int = 32,
        **settings: Any,
    ) -> None:
        """settings: precision and workers, as fields of `Extraction`."""
        _n_images(samples)
        self.backbone, self.samples, self.token, self.images_per_run = backbone, samples, token, images_per_run
        extraction = Extraction(backbone.layer_names(layers), token, images_per_run, images_per_run, **settings)
        self._extraction = extraction.checked(backbone, samples)
        self.manifest = self._extraction.describe(backbone, samples)
        counts = {shape[0] for shape in extraction.shapes(backbone).values()}
        if len(counts) != 1:
            raise InputError(f"layers with {sorted(counts)} tokens per image", "the same number in all layers")
        (self.tokens_per_image,) = counts

    @property
    def layers(self) -> dict[str, int]:
        """Width by layer name, in model order."""
        return self.manifest.layers

    def __len__(self) -> int:
        """Number of images, broken ones among them."""
        return _n_images(self.samples)

    def tokens(self, rows: Sequence[int], layers: Sequence[str]) -> dict[str, Tensor]:
        """Activations `[images, tokens, d_in]` of some images, float32 on the CPU; broken images are left out.

        rows: of a stream, a range.
        """
        return self.tokens_of(self.pixels(self.samples, rows), layers)

    def pixels(self, samples: Samples | SampleStream, rows: Sequence[int]) -> Tensor | None:
        """What the backbone sees of the whole images among `rows`; None without one."""
        see = square(self.backbone.preprocessing)
        if isinstance(samples, SampleStream):
            decoded = samples.rows(rows[0], rows[-1] + 1, workers=self._extraction.workers or 0, see=see)
        else:
            decoded = samples.chosen(rows, workers=self._extraction.workers or 0, see=see)
        images = [sample.image for _, sample in decoded if sample is not None]
        return self.backbone.preprocessing(images) if images else None

    @torch.inference_mode()
    def tokens_of(self, pixels: Tensor | None, layers: Sequence[str], device: torch.device = CPU) -> dict[str, Tensor]:
        """Activations `[images, tokens, d_in]` of some pixels, float32 on a device."""
        if pixels is None:
            return {name: torch.empty(0, 1, self.layers[name]) for name in layers}
        with self._extraction.multiplying(self.backbone):
            pixels = pixels.to(self.backbone.device, self.backbone.dtype)
            tokens = self.backbone.run_tokens(pixels, layers, self.token)
        return {name: tokens[name].float().to(device) for name in layers}


def _n_images(samples: Samples | SampleStream) -> int:
    """How many images there should be, at least one; InputError where there are none, or nobody knows."""
    if not samples.expected:
        many = "no images" if samples.expected == 0 else "nobody knows how many images"
        raise InputError(f"The data set {samples.name} has {many}", "at least one", "Give a stream a `limit`.")
    return samples.expected


class OnlineSampler(PoolSampler):
    """Images in random order through the backbone into the pool; a stream's in its own order, mixed in the pool.

    With `share=(rank, of)` each process runs its own images. The place of a broken image is taken by whole ones of the
    same run, or of the next, so that every epoch has the same number of batches on every process.
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
        self.source, (rank, of), n_images = source, share, len(source)
        n_tokens = n_images // of * source.tokens_per_image
        if n_tokens < batch_size // of:
            raise InputError(
                f"a batch of {batch_size} tokens from {n_images} images of {source.tokens_per_image} tokens",
                f"batch_size of at most {n_tokens * of}",
            )
        self.samples = source.samples
        if isinstance(self.samples, SampleStream):
            self.samples = self.samples.take(n_images).shared(rank, of)  # read by its own, from its beginning
            rows = torch.arange(_n_images(self.samples))
        else:
            rows = torch.randperm(n_images, generator=torch.Generator().manual_seed(seed))[rank::of]
        self.runs = [run.tolist() for run in rows.split(source.images_per_run)]
        super().__init__(
            {name: source.layers[name] for name in layers},
            [len(run) * source.tokens_per_image for run in self.runs],
            batch_size=batch_size // of,
            seed=seed * of + rank,
            buffer_tokens=buffer_tokens,
        )
        self._one_reader = Lock()
        self._batches_per_epoch = n_tokens // self.batch_size

    @property
    def batches_per_epoch(self) -> int:
        return self._batches_per_epoch

    def order(self, generator: torch.Generator) -> list[int]:
        """A stream is read as it comes."""
        return list(range(len(self.runs))) if isinstance(self.samples, SampleStream) else super().order(generator)

    def reads(self, order: list[int]) -> Iterator[dict[str, Tensor]]:
        """As `read`, the pixels of the next runs being decoded while the backbone and the training work."""
        for run, pixels in zip(order, done_ahead(self._pixels, order, 1, ahead=BATCHES_AHEAD), strict=True):
            yield self._flat(run, pixels)

    def read(self, run: int) -> dict[str, Tensor]:
        """The tokens of `images_per_run` images; StoreError when no image at all is whole."""
        return self._flat(run, self._pixels(run))

    def _pixels(self, run: int) -> Tensor | None:
        with self._one_reader:  # a stream has one position
            return self.source.pixels(self.samples, self.runs[run])

    def _flat(self, run: int, pixels: Tensor | None) -> dict[str, Tensor]:
        for other in (*range(run + 1, len(self.runs)), *range(run)):
            if pixels is not None:
                break
            pixels = self._pixels(other)
        if pixels is None:
            raise StoreError(f"No image of {self.samples.name} is whole", "images that can be read")
        places = torch.arange(len(self.runs[run])) % len(pixels)
        tokens_by_layer = self.source.tokens_of(pixels, tuple(self.widths), self.device)
        return {name: tokens[places.to(tokens.device)].flatten(0, 1) for name, tokens in tokens_by_layer.items()}
