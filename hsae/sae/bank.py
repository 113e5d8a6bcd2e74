"""The SAEs of all layers, and the scale in which each layer is trained."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

import torch
from torch import Tensor

from hsae.activations.online import OnlineActivations
from hsae.activations.store import ActivationStore
from hsae.errors import TrainingError
from hsae.sae.config import SAEConfig
from hsae.sae.model import SparseAutoencoder

RIDGE = 0.03
"""Of the mean variance, added to all variances before they are raised to a power: the smallest are noise."""


@dataclass(frozen=True)
class InputScale:
    """Training sees (x - mean) / scale @ there, which has mean 0 and mean square norm d_in."""

    mean: Tensor
    """`[d_in]`."""
    scale: Tensor
    """A positive number: the root of the mean variance over coordinates."""
    there: Tensor | None = None
    """Partial whitening, `[d_in, d_in]`; None: the identity."""
    back: Tensor | None = None
    """Its inverse."""

    def normalise(self, x: Tensor) -> Tensor:
        centred = (x - self.mean) / self.scale
        return centred if self.there is None else centred @ self.there

    def unmapped(self, difference: Tensor) -> Tensor:
        """A difference of normalised activations before the whitening: what FVU is measured on."""
        return difference if self.back is None else difference @ self.back

    def fold(self, sae: SparseAutoencoder) -> None:
        """Turn an SAE of normalised activations into the same SAE of raw ones, in place."""
        if self.there is not None and self.back is not None:
            sae.fold_map(self.there, self.back)
        sae.fold_input(self.mean, self.scale)

    def tensors(self) -> dict[str, Tensor]:
        """What there is of mean, scale, there and back, by name."""
        named = {"mean": self.mean, "scale": self.scale, "there": self.there, "back": self.back}
        return {name: tensor for name, tensor in named.items() if tensor is not None}

    def to(self, device: torch.device | str) -> InputScale:
        return InputScale(**{name: tensor.to(device) for name, tensor in self.tensors().items()})


def measure_scale(store: ActivationStore, layer: str, whiten: float = 0.0) -> InputScale:
    """Mean and scale of a layer over the whole store, shard by shard in float64."""
    return scale_of((store.shard(number, layer).flatten(0, 1) for number in range(store.n_shards)), layer, whiten)


def scale_of(parts: Iterable[Tensor], layer: str, whiten: float = 0.0) -> InputScale:
    """Mean and scale of all tokens, in parts `[n, d_in]`; TrainingError when they are all the same or not finite.

    whiten: exponent of the partial whitening, 0 for none.
    """
    total, squares, count = torch.zeros(()).double(), torch.zeros(()).double(), 0
    for part in parts:
        for few in part.split(4096):  # double precision for a few tokens at a time
            x = few.double()
            total = total + x.sum(0)
            squares = squares + (x.T @ x if whiten else x.square_().sum(0))
            count += len(x)
    mean = total / count
    covariance = squares / count - (torch.outer(mean, mean) if whiten else mean.pow(2))
    variance = (covariance.diagonal() if whiten else covariance).clamp_min(0).mean()
    if not torch.isfinite(variance) or variance <= 0:
        raise TrainingError(
            f"The activations of {layer} have variance {variance.item()}",
            "finite activations that differ between tokens",
            "Extract again, or leave this layer out.",
        )
    there, back = _whitening(covariance / variance, whiten) if whiten else (None, None)
    return InputScale(mean.float(), variance.sqrt().float(), there, back)


def _whitening(covariance: Tensor, exponent: float) -> tuple[Tensor, Tensor]:
    """(C + 0.03 tr C / d I)^-exponent and its inverse, scaled to keep the trace of the covariance C `[d, d]`."""
    values, vectors = torch.linalg.eigh(covariance)
    values = values.clamp_min(0)
    powers = (values + RIDGE * values.mean()).pow(-exponent)
    powers = powers * (values.sum() / (powers.pow(2) * values).sum()).sqrt()
    return ((vectors * powers) @ vectors.T).float(), ((vectors / powers) @ vectors.T).float()


def new_bank(
    store: ActivationStore | OnlineActivations, layers: tuple[str, ...], config: SAEConfig
) -> dict[str, SparseAutoencoder]:
    """Untrained SAEs, one per layer."""
    return {name: new_sae(config, store.layers[name]) for name in layers}


def new_sae(config: SAEConfig, d_in: int) -> SparseAutoencoder:
    """An untrained SAE of activations of one width."""
    d_sae = config.width(d_in)
    k = max(1, round(config.target or config.k))  # where relu and gated start
    return SparseAutoencoder(d_in, d_sae, config.activation, k, ks=config.ks, groups=config.groups_of(d_sae))


def layer_seed(seed: int, layer: str) -> int:
    """A seed for one layer that does not depend on which other layers are trained."""
    return seed * 1_000_003 + crc32(layer.encode())
