"""What is kept of every image and how it is computed, and the words that a store records it in."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch

from hsae.activations.loading import decoders
from hsae.activations.store import Manifest
from hsae.backbones.base import Backbone, Token
from hsae.data.samples import Samples
from hsae.data.stream import SampleStream
from hsae.errors import InputError

SHARD_BYTES = 256 * 2**20
"""A shard is built in memory; patch tokens of all layers take megabytes per image."""


@dataclass(frozen=True)
class Extraction:
    """The settings of `extract_activations`."""

    layers: tuple[str, ...]
    token: Token = "cls"
    batch_size: int = 32
    shard_rows: int | None = None
    """Images per shard, by default up to 1024 as long as a shard stays under 256 MB."""
    dtype: torch.dtype = torch.float32
    """What is stored."""
    precision: torch.dtype = torch.float32
    """bfloat16 multiplies matrices in it (autocast), twice as fast where the hardware knows it; the activations then
    carry noise, up to 0.1 % of their variance for DINOv2-S."""
    workers: int | None = None
    """Threads that decode images while the backbone runs, by default what suits its device."""
    progress: bool = True

    def shapes(self, backbone: Backbone) -> dict[str, torch.Size]:
        """Tokens and width kept of one image, by layer."""
        return {name: shape_per_image(backbone, name, self.token) for name in self.layers}

    def checked(self, backbone: Backbone, samples: Samples | SampleStream) -> Extraction:
        """The same with nothing left open; InputError for a token that is not there, without images or room for one."""
        values = sum(map(math.prod, self.shapes(backbone).values()))
        fitting = min(1024, max(1, SHARD_BYTES // (values * self.dtype.itemsize)))
        rows = fitting if self.shard_rows is None else self.shard_rows
        if min(samples.expected or 1, self.batch_size, rows) < 1 or samples.n_rows == 0:
            got = f"{samples.expected} images of {samples.name}, batch_size {self.batch_size}, shard_rows {rows}"
            raise InputError(got, "at least one of each")
        return replace(self, shard_rows=rows, workers=decoders(self.workers, backbone.device))

    def describe(self, backbone: Backbone, samples: Samples | SampleStream) -> Manifest:
        """The manifest of what the backbone makes of a data set; `checked` before."""
        assert self.shard_rows is not None
        return Manifest(
            backbone=describe_backbone(backbone),
            token=self.token,
            layers={name: backbone.layers[name].d_in for name in self.layers},
            dataset={
                "id": samples.name,
                "images": samples.images_fingerprint,
                "fingerprint": samples.fingerprint,
                "labelling": samples.labelling,
                "n_rows": samples.n_rows,
                "classes": list(samples.classes),
            },
            shard_rows=self.shard_rows,
            dtype=str(self.dtype).removeprefix("torch."),
            precision=str(self.precision).removeprefix("torch."),
        )

    def multiplying(self, backbone: Backbone) -> torch.autocast:
        """Inside, the backbone multiplies matrices in `precision`; sums between blocks stay in its own dtype."""
        return torch.autocast(backbone.device.type, self.precision, enabled=self.precision != torch.float32)


def describe_backbone(backbone: Backbone) -> dict[str, str | int | None]:
    """What a store or artifact records of its backbone."""
    return {
        "id": backbone.id,
        "revision": backbone.revision,
        "weights_sha256": backbone.fingerprint,
        "image_size": backbone.preprocessing.image_size,
    }


def shape_per_image(backbone: Backbone, layer: str, token: Token) -> torch.Size:
    """Tokens and width that `select_token` keeps of one image."""
    spec, size = backbone.layers[layer], backbone.preprocessing.image_size
    n_tokens = spec.n_prefix + math.prod(backbone.grid(layer, size, size))
    return backbone.select_token(torch.empty(1, n_tokens, spec.d_in, device="meta"), layer, token).shape[1:]
