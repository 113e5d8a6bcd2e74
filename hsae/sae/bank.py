"""The SAEs of all layers, and the scale in which each layer is trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from hsae.activations.online import OnlineActivations
from hsae.activations.store import ActivationStore
from hsae.errors import TrainingError
from hsae.sae.config import SAEConfig
from hsae.sae.model import SparseAutoencoder


@dataclass(frozen=True)
class InputScale:
    """Training sees (x - mean) / scale, which has mean 0 and mean square norm d_in."""

    mean: Tensor
    """`[d_in]`."""
    scale: Tensor
    """A positive number: the root of the mean variance over coordinates."""

    def normalise(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.scale

    def to(self, device: torch.device | str) -> InputScale:
        return InputScale(self.mean.to(device), self.scale.to(device))


def measure_scale(store: ActivationStore, layer: str) -> InputScale:
    """Mean and scale of a layer over the whole store, shard by shard in float64."""
    return scale_of((store.shard(number, layer).flatten(0, 1) for number in range(store.n_shards)), layer)


def scale_of(parts: Iterable[Tensor], layer: str) -> InputScale:
    """Mean and scale of all tokens, in parts `[n, d_in]`; TrainingError when they are all the same or not finite."""
    total, squares, count = torch.zeros(()).double(), torch.zeros(()).double(), 0
    for part in parts:
        for few in part.split(4096):  # double precision for a few tokens at a time
            x = few.double()
            total = total + x.sum(0)
            squares = squares + x.square_().sum(0)
            count += len(x)
    mean = total / count
    variance = (squares / count - mean.pow(2)).clamp_min(0).mean()
    if not torch.isfinite(variance) or variance <= 0:
        raise TrainingError(
            f"The activations of {layer} have variance {variance.item()}",
            "finite activations that differ between tokens",
            "Extract again, or leave this layer out.",
        )
    return InputScale(mean.float(), variance.sqrt().float())


def new_bank(store: ActivationStore | OnlineActivations, layers: tuple[str, ...], config: SAEConfig) -> nn.ModuleDict:
    """Untrained SAEs, one per layer."""
    return nn.ModuleDict(
        {
            name: SparseAutoencoder(
                store.layers[name], config.width(store.layers[name]), activation=config.activation, k=config.k
            )
            for name in layers
        }
    )


def layer_seed(seed: int, layer: str) -> int:
    """A seed for one layer that does not depend on which other layers are trained."""
    return seed * 1_000_003 + crc32(layer.encode())


@torch.no_grad()
def initialise(sae: SparseAutoencoder, x: Tensor, generator: torch.Generator) -> None:
    """Start from data: decoder rows are points of `x [n, d_in]` (normalised input), W_enc = c W_dec^T.

    c is the least-squares scale that makes the first reconstruction of `x` best; data rows keep few latents silent.
    Thresholds, learned ones and those that biases make, start where k latents a token fire: training stays sparse.
    """
    repeats = -(-sae.d_sae // len(x))
    rows = torch.cat([torch.randperm(len(x), generator=generator) for _ in range(repeats)])[: sae.d_sae]
    noise = torch.randn(sae.d_sae, sae.d_in, generator=generator)
    sae.W_dec.copy_(0.8 * normalize(x[rows], dim=-1) + 0.2 * normalize(noise, dim=-1))
    sae.normalise_decoder()
    sae.W_enc.copy_(sae.W_dec.T)
    x = x[:1024]
    pre = sae.pre_activation(x)
    cut = pre.flatten().topk(min(pre.numel(), sae.k * len(x))).values[-1].clamp_min(0)
    if sae.activation in ("gated", "relu"):
        sae.b_enc.sub_(cut)
    elif hasattr(sae, "threshold"):
        sae.threshold.fill_(cut)
    x_hat, _ = sae.eval()(x)
    factor = ((x * x_hat).sum() / x_hat.pow(2).sum().clamp_min(1e-12)).clamp(1e-3, 1e3)
    sae.W_enc.mul_(factor)
    sae.scale_latents(factor)
