"""CAST as a backbone: layers of segments instead of patches, and the hierarchy of segments that it finds.

The network is that of the published code; two things differ in what enters it. A superpixel too thin to have a place
on the stem's map (0.7 % of them on photographs) takes the place nearest to it, where the published code leaves a
token of zeros: so every token stands for a part of the image, and what passes between stages is the tokens alone.
And without OpenCV's contributed modules the superpixels are of another kind, which a warning says. Given the same
superpixels and random weights, tokens and segments equal those of the published code to float32 rounding; its trained
weights could not be had, so nothing has been compared with those.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor

from hsae.backbones.base import Backbone, LayerSpec, Preprocessing
from hsae.backbones.cast_model import CAST, Block, CASTShape, Pooling, cast_shape
from hsae.backbones.superpixels import STEP, available_method, sampled, segment_means, superpixels, warn_of
from hsae.backbones.weights import fill, under_prefix
from hsae.errors import InputError

STRIDE = 8
"""Pixels from one place of the stem's map to the next."""
DEPTHS = (3, 3, 3, 2)
"""Blocks of each stage of the published models."""


@dataclass(frozen=True)
class Step:
    """From one layer to the next: a block, behind the pooling of the stage before where it is a stage's first."""

    block: Block
    pooling: Pooling | None
    level: int
    """0 where tokens are superpixels, one more behind every pooling."""

    def __call__(self, tokens: Tensor) -> Tensor:
        return self.block(tokens if self.pooling is None else self.pooling(tokens))


class CASTBackbone(Backbone):
    """A frozen CAST; layer `block_NN` is the class token and the segments behind the NN-th block.

    Segments have no rows and columns: `grid` counts them as one row, and `token_map` says where they are.
    """

    model: CAST
    segment_counts: tuple[int, ...]
    """How many each of `segment_maps` has at most: superpixels, then the segments after every pooling."""

    def __init__(self, id: str, model: CAST, image_size: int) -> None:
        side = STRIDE * isqrt(model.shape.n_places)
        if image_size != side or side % STEP:
            raise InputError(f"image_size {image_size} for {id}", f"{side}, the only size it has positions for")
        self.id, self.revision, self.preprocessing = id, None, Preprocessing(side)
        self.superpixels = available_method()
        warn_of(self.superpixels, id)
        self.model = model.eval().requires_grad_(False)
        self._steps = _steps(model)
        self.segment_counts = ((side // STEP) ** 2, *model.shape.clusters)
        self.layers = {name: LayerSpec(name, model.shape.width, 1) for name in self._steps}

    def embed(self, pixels: Tensor) -> Tensor:
        return self._embed(pixels, [self._cut(image) for image in pixels])

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        return dict(self._steps)

    def tokens(self, state: Tensor) -> Tensor:
        return state

    def state(self, tokens: Tensor) -> Tensor:
        return tokens

    def grid(self, layer: str, height: int, width: int) -> tuple[int, int]:
        (name,) = self.layer_names([layer])
        return 1, self.segment_counts[self._steps[name].level]

    def token_map(self, layer: str, pixels: Tensor) -> Tensor:
        """For every pixel the segment it belongs to most at `layer`, int64 `[height, width]`; none is left out."""
        name, _, _ = self._layer_and_size(layer, pixels)
        return self.segment_maps(pixels)[self._steps[name].level]

    @torch.no_grad()
    def segment_maps(self, pixels: Tensor) -> tuple[Tensor, ...]:
        """Segments of every pixel from fine to coarse, int64 `[height, width]` each: superpixels, then every pooling.

        pixels `[1, 3, height, width]`. A segment lies inside one of the next map, the one that takes the largest share
        of it: 196 superpixels in at most 64 segments, these in 32, 16 and 8.
        """
        maps = [self._cut(pixels[0])]
        tokens = self._embed(pixels, maps)
        for step in self._steps.values():
            if step.pooling is not None:
                maps.append(_merged(maps[-1], step.pooling, tokens))
            tokens = step(tokens)
        return (*maps, _merged(maps[-1], self.model.stage(len(maps))[1], tokens))

    def mlp_output(self, layer: str) -> Tensor:
        (name,) = self.layer_names([layer])
        return self._steps[name].block.mlp.fc2.weight.T

    def _cut(self, pixels: Tensor) -> Tensor:
        """Superpixels of one image `[3, height, width]`."""
        side = self.preprocessing.image_size
        if tuple(pixels.shape) != (3, side, side):
            raise InputError(f"pixels of shape {tuple(pixels.shape)}", f"images of 3 x {side} x {side}")
        mean, std = (torch.tensor(v).view(3, 1, 1) for v in (self.preprocessing.mean, self.preprocessing.std))
        rgb = (pixels.detach().float().cpu() * std + mean).mul(255).round().clamp(0, 255).to(torch.uint8)
        return superpixels(rgb.permute(1, 2, 0).contiguous().numpy(), self.superpixels).to(pixels.device)

    def _embed(self, pixels: Tensor, maps: Sequence[Tensor]) -> Tensor:
        """Class token, and for every superpixel the mean of the stem's map and of the positions over its places."""
        places = self.model.patch_embed["proj"](pixels).flatten(2).transpose(1, 2) + self.model.pos_embed
        count = self.segment_counts[0]
        labels = [sampled(each.cpu(), STRIDE, count).flatten().to(pixels.device) for each in maps]
        segments = torch.stack([segment_means(x, each, count) for x, each in zip(places, labels, strict=True)])
        cls = (self.model.cls_token + self.model.pe_token).expand(len(pixels), -1, -1)
        return torch.cat([cls, segments], 1)


def _steps(model: CAST) -> dict[str, Step]:
    """The steps that end in each layer."""
    steps: list[Step] = []
    pooling: Pooling | None = None
    for level in range(len(model.shape.depths)):
        blocks, behind = model.stage(level + 1)
        steps += [Step(block, None if i else pooling, level) for i, block in enumerate(blocks)]
        pooling = behind
    return {f"block_{number:02d}": step for number, step in enumerate(steps, start=1)}


def _merged(segments: Tensor, pooling: Pooling, tokens: Tensor) -> Tensor:
    """A map of segments after a pooling: every one becomes the one that has the largest share of it."""
    shares, _ = pooling.pool_block.assign(tokens[:, 1:])
    return shares[0].argmax(-1)[segments]


def cast_tensors(tensors: Mapping[str, Tensor]) -> dict[str, Tensor] | None:
    """Those of the encoder in a checkpoint of CAST; None when it is no such checkpoint."""
    encoder = under_prefix(tensors, ("module.base_encoder.", "module.", ""), "pool1.pool_block.centroid_fc.bias")
    return None if encoder is None else _counted_within_stages(encoder)


def _counted_within_stages(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Every stage's blocks numbered from 0, whereas published ones go on counting: `blocks2.3.` is `blocks2.0.`."""
    names = [(name, re.match(r"(blocks\d)\.(\d+)\.(.*)", name)) for name in tensors]
    first: dict[str, int] = {}
    for _, parts in names:
        if parts:
            first[parts[1]] = min(first.get(parts[1], int(parts[2])), int(parts[2]))
    return {
        f"{parts[1]}.{int(parts[2]) - first[parts[1]]}.{parts[3]}" if parts else name: tensors[name]
        for name, parts in names
    }


def cast_from_tensors(id: str, tensors: Mapping[str, Tensor], image_size: int) -> CASTBackbone:
    """The backbone that an encoder's tensors are the weights of."""
    model = CAST(cast_shape(tensors))
    fill(id, model, tensors)
    return CASTBackbone(id, model, image_size)


def untrained_cast(id: str, width: int, image_size: int) -> CASTBackbone:
    """A CAST of the published depths with random weights, for square images of one size."""
    return CASTBackbone(id, CAST(CASTShape(width, DEPTHS, (image_size // STRIDE) ** 2, 4 * width)), image_size)
