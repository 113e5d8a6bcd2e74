"""How fast a machine works: a few batches timed here, or derived from what a GPU is said to do."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch

from hsae.backbones.base import Backbone
from hsae.sae.bank import new_sae, scale_of
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.layer import LayerTraining, TrainingRun
from hsae.sae.steps import choose_step
from training.planning.shape import LayerShape, RunShape
from training.run_config import RunConfig

Settings = tuple[RunConfig, SAEConfig, TrainConfig]

TIMED = 2
"""Images and steps that are timed, after one that is not."""
WORTH = 1.0
"""Seconds of a timed batch of images, at most."""
DEAD = 32
"""One in so many latents is dead in a timed step."""
MOST_TIMED = 2048
"""Tokens of a timed step, at most."""
EFFICIENCY = 0.4
"""Share of a GPU's stated speed that a plan counts on. An H200's backbones reached 0.44 and 0.58, its steps more."""


@dataclass(frozen=True)
class Rates:
    """Seconds on one process."""

    image: dict[str, float]
    """A backbone's forward pass of one image, by precision."""
    vector: dict[int, float]
    """A training step, per vector of a layer, by the width of its activations."""


def given_rates(shape: RunShape, flops: float) -> Rates:
    """Rates of a GPU that does `flops` operations a second in bfloat16, half as many in float32."""
    image = shape.flops / (EFFICIENCY * flops)
    steps = {layer.d_in: 12 * layer.d_in * layer.d_sae / (EFFICIENCY * flops / 2) for layer in shape.layers}
    return Rates({"float32": 2 * image, "bfloat16": image}, steps)


def timed_rates(backbone: Backbone, shape: RunShape, settings: Settings) -> Rates:
    """Rates of this machine, by timing the backbone on images of noise and SAEs of every width on noise."""
    config, sae, train = settings
    batch, precision = config.images_per_batch, config.train_precision
    images: dict[str, float] = {
        name: image_seconds(backbone, batch, getattr(torch, name)) for name in {"float32", precision}
    }
    widest = {layer.d_in: layer for layer in shape.layers}
    steps = {d_in: _vector_seconds(layer, sae, train, backbone.device) for d_in, layer in widest.items()}
    return Rates(images, steps)


@torch.inference_mode()
def image_seconds(backbone: Backbone, batch: int, precision: torch.dtype) -> float:
    """A forward pass per image, in batches on a GPU, of few images on a CPU."""
    side, device = backbone.preprocessing.image_size, backbone.device

    def each(n: int) -> float:
        pixels = torch.rand(n, 3, side, side).to(device, backbone.dtype)
        with torch.autocast(device.type, precision, enabled=precision != torch.float32):
            return _seconds(lambda: backbone.run_pixels(pixels), device) / n

    if device.type != "cpu":
        return each(batch)
    first = each(min(batch, TIMED))
    many = min(batch, int(WORTH / first))  # small pictures take longer alone
    return each(many) if many > TIMED else first


def _vector_seconds(layer: LayerShape, sae: SAEConfig, train: TrainConfig, device: torch.device) -> float:
    """A step of one layer per vector; where many vectors are taken at once, of fewer of them.

    Some latents are dead, as in most of a run, where their attempts at the error are trained.
    """
    n = min(train.batch_size, MOST_TIMED) if device.type == "cpu" else train.batch_size
    x, module = torch.randn(n, layer.d_in), new_sae(sae, layer.d_in)
    torch.nn.init.normal_(module.W_dec, generator=torch.Generator().manual_seed(0))
    module.normalise_decoder()
    module.W_enc.data.copy_(module.W_dec.T)
    step = choose_step(sae, layer.d_in, device, train.bf16)
    run = TrainingRun(sae, train, steps=10**6)
    training = LayerTraining("timed", module.to(device).train(), scale_of([x], "timed"), step, run)

    def advance() -> None:
        if sae.auxk:
            training.tracker.silent[: layer.d_sae // DEAD] = sae.dead_after
            training.tracker.look_again()
        training.advance(x, train.lr, 0)

    return _seconds(advance, device) / n


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    """The fastest of some runs, after one that warms up; on a CPU what other programs take of it does not count."""
    clock, share = (time.process_time, torch.get_num_threads()) if device.type == "cpu" else (time.perf_counter, 1)
    taken = []
    for _ in range(1 + TIMED):
        began = clock()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        taken.append((clock() - began) / share)
    return min(taken[1:])
