"""Who is compared in the benchmark: hsae, the loop one writes first, and the installed peers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from hsae.sae.bank import new_sae, scale_of
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.layer import LayerTraining, TrainingRun
from hsae.sae.lists import Counts
from hsae.sae.model import SparseAutoencoder
from hsae.sae.outcome import GradientStep
from hsae.sae.start import initialise
from hsae.sae.steps import AutogradStep, choose_step
from hsae.sae.variants import VARIANTS
from training.benchmarks.peers import Contestant, installed

K, LR = 32, 1e-3


@dataclass(frozen=True)
class Place:
    """Where the benchmark runs, in which precision, and on activations of which width."""

    d_in: int
    device: torch.device
    dtype: torch.dtype

    @property
    def bf16(self) -> bool:
        return self.dtype == torch.bfloat16


def contestants(place: Place, m: int, data: Tensor) -> dict[str, Callable[[], Contestant]]:
    """A maker for each that can run here; peers in single precision on a CPU only."""
    makers: dict[str, Callable[[], Contestant]] = {
        "hsae topk": lambda: hsae(place, SAEConfig("topk", d_sae=m, k=K), data),
        "plain topk": lambda: plain(place, SAEConfig("topk", d_sae=m, k=K)),
        "hsae topk, prefixes": lambda: hsae(place, SAEConfig("topk", d_sae=m, k=K, prefixes=4), data),
        "hsae nested k": lambda: hsae(place, SAEConfig("topk", d_sae=m, ks=Counts((1, 8, K))), data),
        "hsae coarse and fine": lambda: hsae(place, SAEConfig("coarse_fine", d_sae=m, k=K), data),
        "hsae relu": lambda: hsae(place, SAEConfig("relu", d_sae=m, k=K), data),
        "hsae relu, prefixes": lambda: hsae(place, SAEConfig("relu", d_sae=m, k=K, prefixes=4), data),
        "hsae jumprelu": lambda: hsae(place, SAEConfig("jumprelu", d_sae=m, k=K), data),
        "plain relu": lambda: plain(place, SAEConfig("relu", d_sae=m)),
    }
    if place.device.type != "cpu":
        objective = SAEConfig("topk", d_sae=m, k=K).objective(place.d_in)
        dense = AutogradStep(VARIANTS["topk"], objective, place.bf16)
        makers["hsae topk, dense"] = lambda: hsae(place, SAEConfig("topk", d_sae=m, k=K), data, dense)
    peers = {} if place.bf16 or place.device.type != "cpu" else installed()
    return makers | {name: lambda make=make: make(place.d_in, m, K, LR) for name, make in peers.items()}


def hsae(place: Place, config: SAEConfig, data: Tensor, step: GradientStep | None = None) -> Contestant:
    """What `train_bank` does for one layer."""
    sae = new_sae(config, place.d_in)
    scale, some = scale_of([data], "synthetic", config.whitening), data[: 2 * sae.d_sae]
    initialise(sae, scale.normalise(some), torch.Generator().manual_seed(0))
    step = step or choose_step(config, place.d_in, place.device, place.bf16)
    train = TrainConfig(lr=LR, bf16=place.bf16)
    layer = LayerTraining("synthetic", sae.to(place.device).train(), scale, step, TrainingRun(config, train))
    scale, done = layer.scale, iter(range(10**9))
    return Contestant(
        lambda x: layer.advance(x, LR, next(done)),
        lambda x: scale.unmapped(sae(scale.normalise(x))[0]) * scale.scale + scale.mean,
        lambda x: sae.encode(scale.normalise(x)) > 0,
    )


def plain(place: Place, config: SAEConfig) -> Contestant:
    """What one writes first: a dense forward pass, autograd, clipping, Adam, unit rows."""
    sae = SparseAutoencoder(place.d_in, config.width(place.d_in), config.activation, K).to(place.device)
    with torch.no_grad():
        sae.W_dec.normal_()
        sae.normalise_decoder()
        sae.W_enc.copy_(sae.W_dec.T)
    optimiser = torch.optim.Adam(sae.parameters(), lr=LR)

    def step(x: Tensor) -> None:
        with torch.autocast(place.device.type, torch.bfloat16, enabled=place.bf16):
            x_hat, z = sae(x)
            loss = (x - x_hat).pow(2).mean() + (config.l1 * z.sum(-1).mean() if config.activation == "relu" else 0)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimiser.step()
        sae.normalise_decoder()

    return Contestant(step, lambda x: sae(x)[0], lambda x: sae.encode(x) > 0)
