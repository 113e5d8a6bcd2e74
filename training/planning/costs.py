"""What each stage of a run costs, from its shape: formulas, with what they were fitted to beside them."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from hsae.activations.extraction import SHARD_BYTES
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.feed import AHEAD
from training.planning.rates import Rates
from training.planning.shape import LayerShape, RunShape
from training.run_config import RunConfig

FLOAT = 4
BASE = 0.57e9
"""Memory of a process that has loaded everything and holds nothing yet."""
CUDA = 1.3e9
"""What CUDA and its libraries take of the host besides, on an H200 with PyTorch 2.11."""
FORWARD = 18
"""Numbers that a block needs at once for every number of its state: its MLP is four times as wide, gated or not."""
STARTED, TRIED = 3.5e-9, 1e-11
"""Seconds of one core for each byte of an SAE's weights until its first step: alone, and for each of the tokens that
its first thresholds are tried on."""
TRIED_ON = 1024
WRITTEN = 2e-9
"""Seconds for each byte of a checkpoint or a finished SAE: its checksum, and the disk."""


@dataclass(frozen=True)
class Asked:
    """What a run is asked to do, with its sizes, on so many processes."""

    config: RunConfig
    sae: SAEConfig
    train: TrainConfig
    shape: RunShape
    processes: int = 1
    gpu: bool = False

    @property
    def base(self) -> float:
        """Memory of a process that holds nothing yet."""
        return BASE + CUDA * self.gpu

    @property
    def stored(self) -> int:
        """Training images whose activations are stored."""
        return self.probed if self.config.activations == "online" else self.shape.images.train

    @property
    def probed(self) -> int:
        """Training images that probes are fitted on."""
        most = self.config.most_probed
        return self.shape.images.train if most is None else min(self.shape.images.train, most)

    @property
    def tokens(self) -> int:
        """Tokens of one epoch."""
        return self.shape.images.train * self.shape.tokens

    @property
    def steps(self) -> int:
        """Training steps of one layer."""
        share = self.processes if self.train.parallel == "data" else 1
        return self.train.epochs * (self.tokens // (self.train.batch_size * share))


@dataclass(frozen=True)
class Cost:
    """What one stage needs of one process, and what it leaves on the disk."""

    name: str
    images: int
    disk: float
    host: float
    """Bytes at the peak, everything counted."""
    device: float
    """The same on a GPU; 0 without one."""
    flops: float
    """Of all processes together."""
    seconds: float | None
    """None where nothing was timed."""
    checkpoints: int = 0
    scratch: float = 0
    """Bytes on the disk while the stage runs, besides."""


def activations(asked: Asked, rates: Rates | None) -> Cost:
    """The backbone on every image once; a shard of all layers is built in memory."""
    config, shape, images = asked.config, asked.shape, asked.shape.images
    rows = asked.stored + images.choice + images.heldout + images.starter
    weights, batch = FLOAT * shape.parameters, config.images_per_batch
    outputs = FLOAT * batch * shape.kept
    forward = FLOAT * batch * FORWARD * max(layer.state for layer in shape.layers)
    pixels = FLOAT * 4 * batch * 3 * shape.image_size**2
    shard = min(SHARD_BYTES, rows * shape.kept * FLOAT) + pixels
    on_device = weights + outputs + forward
    exact = images.heldout + images.starter
    return Cost(
        "activations",
        rows,
        disk=shape.kept * (exact * FLOAT + (rows - exact) * getattr(torch, config.store_dtype).itemsize),
        host=asked.base + shard + (weights if asked.gpu else on_device),
        device=on_device if asked.gpu else 0,
        flops=rows * shape.flops,
        seconds=_extraction_seconds(asked, rates, exact, rows - exact) if rates else None,
    )


def _extraction_seconds(asked: Asked, rates: Rates, exact: int, quick: int) -> float:
    """Of images in float32 and of others in the precision of the training images."""
    return (rates.image["float32"] * exact + rates.image[asked.config.train_precision] * quick) / asked.processes


def training(asked: Asked, rates: Rates | None, layers_at_once: int) -> Cost:
    """Groups of layers, one after the other, in as many passes over the activations."""
    shape, train = asked.shape, asked.train
    groups = [shape.layers[i : i + layers_at_once] for i in range(0, len(shape.layers), layers_at_once)]
    memory = [_group_memory(asked, group) for group in groups]
    online = FLOAT * shape.parameters if asked.config.activations == "online" else 0.0
    weights = FLOAT * sum(layer.weights for layer in shape.layers)
    return Cost(
        "training",
        shape.images.train,
        disk=weights,
        scratch=_checkpoint_bytes(asked, groups),
        host=asked.base + max(host for host, _ in memory) + (0 if asked.gpu else online),
        device=max(device for _, device in memory) + online if asked.gpu else 0,
        flops=train.epochs * asked.tokens * sum(12.0 * layer.d_in * layer.d_sae for layer in shape.layers),
        seconds=_training_seconds(asked, rates, len(groups)) if rates else None,
        checkpoints=len(groups) * -(-asked.steps // train.checkpoint_every),
    )


def _checkpoint_bytes(asked: Asked, groups: list[tuple[LayerShape, ...]]) -> float:
    """All state of the largest group: of each of the processes that share every batch, and twice."""
    copies = 2 * asked.processes if asked.processes > 1 and asked.train.parallel == "data" else 1
    return 3 * FLOAT * copies * max(sum(layer.weights for layer in group) for group in groups)


def _group_memory(asked: Asked, group: tuple[LayerShape, ...]) -> tuple[float, float]:
    """Host and device memory of layers that train together.

    Where the SAEs train, the pool of shuffled tokens, weights and Adam's two moments of all of them, gradients and
    batch of one; on a GPU besides the batches that wait. A checkpoint copies the encoders on a CPU, all of the state of
    a GPU.
    """
    train = asked.train
    weights, width = FLOAT * sum(layer.weights for layer in group), FLOAT * sum(layer.d_in for layer in group)
    pool = min(asked.tokens, round(1.25 * max(train.buffer_tokens, train.batch_size))) * width
    starting = 2 * min(asked.tokens, max(train.buffer_tokens, *(layer.d_sae for layer in group))) * width
    largest = max(group, key=lambda layer: layer.weights)
    dense = 3.0 if asked.gpu else 0.5
    step = FLOAT * (largest.weights + train.batch_size * (6 * largest.d_in + dense * largest.d_sae))
    if asked.gpu:
        waiting = (AHEAD + 1) * train.batch_size * width
        return max(starting, 3 * weights), pool + waiting + 3 * weights + step
    return max(pool + starting + weights, pool + 3 * weights + max(step, weights / 2)), 0.0


def _training_seconds(asked: Asked, rates: Rates, passes: int) -> float:
    """Steps of all layers, and online the backbone in every epoch of every group; what begins and saves SAEs."""
    train, images = asked.train, asked.shape.images.train
    weights = FLOAT * sum(layer.weights for layer in asked.shape.layers)
    steps = asked.tokens * sum(rates.vector[layer.d_in] for layer in asked.shape.layers)
    online = asked.config.activations == "online"
    forward = passes * images * rates.image[asked.config.train_precision] if online else 0.0
    written = weights * (1 + 3 * -(-asked.steps // train.checkpoint_every))
    around = (STARTED + TRIED * min(TRIED_ON, asked.tokens)) * weights + WRITTEN * written
    computed = train.epochs * (steps + forward) / asked.processes
    return computed + around / (asked.processes if train.parallel == "layer" else 1)
