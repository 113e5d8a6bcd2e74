"""What decides the cost of a run, as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from hsae.activations.extraction import shape_per_image
from hsae.backbones.base import Backbone
from hsae.data.samples import load_samples
from hsae.sae.config import SAEConfig
from training.run_config import RunConfig
from training.stores import STARTER_REHEARSED, Split


@dataclass(frozen=True)
class Images:
    """How many images a run has, and of how many classes."""

    train: int
    heldout: int
    choice: int = 0
    starter: int = 0
    classes: int = 0

    @property
    def total(self) -> int:
        """All that the backbone runs once."""
        return self.train + self.heldout + self.choice + self.starter


@dataclass(frozen=True)
class LayerShape:
    """One layer and its SAE."""

    d_in: int
    d_sae: int
    tokens: int
    """Kept of an image."""
    state: int
    """Numbers of an image at this layer, all its tokens counted."""

    @property
    def weights(self) -> int:
        """Numbers of the SAE."""
        return 2 * self.d_in * self.d_sae + self.d_sae + self.d_in


@dataclass(frozen=True)
class RunShape:
    """The sizes of a run."""

    layers: tuple[LayerShape, ...]
    images: Images
    parameters: int
    """Of the backbone."""
    flops: float
    """Of one image's forward pass."""
    image_size: int

    @property
    def kept(self) -> int:
        """Numbers kept of an image, over all layers."""
        return sum(layer.tokens * layer.d_in for layer in self.layers)

    @property
    def tokens(self) -> int:
        """Tokens of an image that SAEs are trained on."""
        return max(layer.tokens for layer in self.layers)


def shape_of(config: RunConfig, sae: SAEConfig, backbone: Backbone, images: Images) -> RunShape:
    """The sizes of a run whose images are counted; runs the backbone on one image of zeros."""
    layers = []
    for name in backbone.layer_names(config.layer_names):
        spec, size = backbone.layers[name], backbone.preprocessing.image_size
        rows, columns = backbone.grid(name, size, size)
        tokens = shape_per_image(backbone, name, config.token)[0]
        state = (spec.n_prefix + rows * columns) * spec.d_in
        layers.append(LayerShape(spec.d_in, sae.width(spec.d_in), tokens, state))
    parameters = sum(p.numel() for p in backbone.model.parameters())
    return RunShape(tuple(layers), images, parameters, forward_flops(backbone), backbone.preprocessing.image_size)


@torch.no_grad()
def forward_flops(backbone: Backbone) -> float:
    """Floating-point operations of one image's forward pass; on the device "meta" nothing is computed."""
    side = backbone.preprocessing.image_size
    with FlopCounterMode(display=False) as counter:
        backbone.run_pixels(torch.zeros(1, 3, side, side, device=backbone.device, dtype=backbone.dtype))
    return float(counter.get_total_flops())


def count_images(config: RunConfig, split: Split) -> Images:
    """The images of a run; of a stream, what is expected."""
    starter = STARTER_REHEARSED if config.rehearse else len(load_samples("starter"))
    choice = 0 if split.choice is None else split.choice.expected or 0
    classes = len(split.heldout.classes)
    return Images(split.train.expected or 0, split.heldout.expected or 0, choice, starter, classes)
