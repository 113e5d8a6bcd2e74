"""Targets: what a relevancy map explains, one number per image read from the activations at a layer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hsae.backbones.base import Backbone
from hsae.errors import InputError
from hsae.measures.probes import LinearProbe
from hsae.measures.wordnet.node_probabilities import node_log_odds, require_some
from hsae.sae.model import SparseAutoencoder

Place = Literal["cls", "mean", "patch"] | int | tuple[int, ...]
"""Where a target is read: class token, pooled patches, the patch with the largest score, the patch of that index, or
the average of the patches of those indices."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Target(ABC):
    """A score of one token's activation: activations `[batch, tokens, d_in]` to `[batch]`, differentiable."""

    token: Place = "cls"
    n_prefix: int = 1
    """Tokens before the patches at this layer (`LayerSpec.n_prefix`)."""

    @abstractmethod
    def score(self, x: Tensor) -> Tensor:
        """Activations `[..., d_in]` to scores `[...]`."""

    def __call__(self, activations: Tensor) -> Tensor:
        return self.read(activations, self.weights(activations))

    def read(self, activations: Tensor, weights: Tensor) -> Tensor:
        """The score of the tokens' average with `weights [batch, tokens]`, of any layer of the target's width."""
        return self.score(torch.einsum("bt,btd->bd", weights, activations))

    def weights(self, activations: Tensor) -> Tensor:
        """How much each token counts, `[batch, tokens]`: one-hot, or uniform over all or the named patches."""
        weights = torch.zeros(activations.shape[:2], dtype=activations.dtype, device=activations.device)
        n_patches = activations.shape[1] - self.n_prefix
        if self.token == "mean":
            weights[:, self.n_prefix :] = 1 / n_patches
        elif isinstance(self.token, tuple):
            positions = self._positions(self.token, n_patches)
            weights[:, positions] = 1 / len(positions)
        else:
            weights.scatter_(1, self._position(activations, n_patches), 1.0)
        return weights

    def _positions(self, patches: tuple[int, ...], n_patches: int) -> list[int]:
        """Indices among the tokens of patches that are named."""
        if not patches or len(set(patches)) != len(patches) or not all(0 <= at < n_patches for at in patches):
            raise InputError(f"patches {patches[:8]}", f"different indices from 0 to {n_patches - 1}, at least one")
        return [self.n_prefix + at for at in patches]

    def _position(self, activations: Tensor, n_patches: int) -> Tensor:
        """Index of the one token that counts, `[batch, 1]`."""
        if self.token == "cls" and self.n_prefix > 0:
            index = 0
        elif self.token == "patch":
            return self.n_prefix + self.score(activations[:, self.n_prefix :].detach()).argmax(1, keepdim=True)
        elif type(self.token) is int and 0 <= self.token < n_patches:
            index = self.n_prefix + self.token
        else:
            places = "cls, mean" if self.n_prefix else "mean"
            raise InputError(f"token {self.token!r}", f"{places}, patch or a patch index from 0 to {n_patches - 1}")
        return torch.full((len(activations), 1), index, device=activations.device)


@dataclass(frozen=True, eq=False)
class LatentTarget(Target):
    """Pre-activation of one latent: TopK and ReLU have no gradient where the latent is 0; this always has one."""

    sae: SparseAutoencoder
    latent: int

    def __post_init__(self) -> None:
        _require_index("latent", self.latent, self.sae.d_sae)

    def score(self, x: Tensor) -> Tensor:
        return self.sae.pre_activation(x)[..., self.latent]


def latent_target(
    backbone: Backbone, sae: SparseAutoencoder, layer: str, latent: int, token: Place = "cls"
) -> LatentTarget:
    """The target of a latent at a layer of a backbone, with the layer's number of tokens before the patches."""
    (layer,) = backbone.layer_names([layer])
    return LatentTarget(sae, latent, token=token, n_prefix=backbone.layers[layer].n_prefix)


@dataclass(frozen=True, eq=False)
class ClassTarget(Target):
    """Logit of one class of a layer's linear probe."""

    probe: LinearProbe
    class_index: int

    def __post_init__(self) -> None:
        _require_index("class", self.class_index, self.probe.W.shape[1])

    def score(self, x: Tensor) -> Tensor:
        return self.probe.logits(x)[..., self.class_index]


@dataclass(frozen=True, eq=False)
class NodeTarget(Target):
    """Log-odds of a WordNet node by a layer's probe: of its classes together against all others."""

    probe: LinearProbe
    members: Tensor
    """bool `[n_classes]`: the classes under the node, some but not all."""

    def __post_init__(self) -> None:
        require_some(self.members)

    def score(self, x: Tensor) -> Tensor:
        return node_log_odds(self.probe.logits(x), self.members)


def _require_index(what: str, index: int, size: int) -> None:
    if not 0 <= index < size:
        raise InputError(f"{what} {index}", f"a number from 0 to {size - 1}")
