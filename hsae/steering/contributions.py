"""What carries a concept: the log-odds of a WordNet node at the last layer, split over the latents of a layer.

The tokens that an SAE reads are x = sum_i z_i W_dec_i + b_dec + error, so with g a gradient of the log-odds there
    contribution of latent i   sum over tokens of z_i W_dec_i . g        of the error   sum over tokens of error . g
    total = base + contributions + error + rest,  base: the log-odds where every such token is b_dec
At the layer where the probe reads, g is the mean gradient on the straight line from b_dec to x (integrated gradients,
arXiv 1703.01365) and the rest is 0. Before it, g is the gradient at x through the rest of the backbone: the
contributions are of first order, and the rest is what that leaves out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.backbones.base import Token
from hsae.errors import InputError
from hsae.measures.wordnet.node_probabilities import node_log_odds, require_some
from hsae.sae.model import SparseAutoencoder
from hsae.steering.readout import Readout

_POINTS = 128  # of Gauss and Legendre: the log-odds of linear logits bend where another class becomes the likeliest

LogOdds = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Contributions:
    """The parts of a node's log-odds, in nats; positive ones speak for the node."""

    latents: NDArray[np.float64]
    """Of each latent of the layer, `[d_sae]`; 0 where it is silent."""
    error: float
    """Of what the SAE does not reconstruct."""
    base: float
    """The log-odds when all latents are off and nothing is added to b_dec."""
    total: float
    """The log-odds of the image: log p / (1 - p)."""

    @property
    def rest(self) -> float:
        """What the parts leave out: 0 at the layer where the probe reads, but for rounding."""
        return self.total - self.base - float(self.latents.sum()) - self.error


@dataclass(frozen=True, eq=False)
class ReadNode:
    """A WordNet node as a classifier reads it; InputError unless some of the classes are under it, but not all."""

    readout: Readout
    members: Tensor
    """bool `[n_classes]`: the classes under the node."""

    def __post_init__(self) -> None:
        require_some(self.members)

    def log_odds(self, activations: Tensor) -> Tensor:
        """`[batch]` of activations at the classifier's layer, `[batch, tokens, d_in]`; with gradients."""
        return node_log_odds(self.readout.logits(activations), self.members)


def contributions(
    node: ReadNode, sae: SparseAutoencoder, layer: str, token: Token, activations: Tensor
) -> Contributions:
    """Split the log-odds of a node for one image, whose activations at `layer` are `[1, tokens, d_in]`.

    sae: of that layer, reading `token`. InputError when the layer comes after the classifier's.
    """
    backbone, last = node.readout.backbone, node.readout.layer
    (layer,) = backbone.layer_names([layer])
    if list(backbone.layers).index(layer) > list(backbone.layers).index(last):
        raise InputError(f"contributions of {layer}", f"{last} or an earlier layer, before the classes are read")
    # Sessions run in inference mode, where nothing can be differentiated.
    with torch.inference_mode(False), torch.no_grad():
        activations = activations.clone()
        x = backbone.select_token(activations, layer, token)[0]
        z, off = sae.encode(x), sae.b_dec.expand_as(x)
        error = x - sae.decode(z)

        def log_odds(tokens: Tensor) -> Tensor:
            moved = _with_tokens(activations, tokens, backbone.layers[layer].n_prefix, token)
            return node.log_odds(moved if layer == last else backbone.run_from(layer, moved, [last])[last])

        base, total = (log_odds(tokens[None]).item() for tokens in (off, x))
        gradient = _mean_gradient(log_odds, off, x) if layer == last else _gradient(log_odds, x[None])[0]
        shares = (z * (gradient @ sae.W_dec.T)).sum(0)
        return Contributions(shares.double().numpy(), float((error * gradient).sum()), base, total)


def _mean_gradient(log_odds: LogOdds, start: Tensor, stop: Tensor) -> Tensor:
    """Mean gradient on the straight line between two states of the tokens, `[tokens, d_in]` like them."""
    places, weights = np.polynomial.legendre.leggauss(_POINTS)
    shares, mean = (torch.from_numpy(values).float()[:, None, None] for values in ((places + 1) / 2, weights / 2))
    return (_gradient(log_odds, start + shares * (stop - start)) * mean).sum(0)


def _gradient(log_odds: LogOdds, tokens: Tensor) -> Tensor:
    """Of each of several states of the tokens, `[batch, tokens, d_in]`."""
    with torch.enable_grad():
        leaf = tokens.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(log_odds(leaf).sum(), leaf)
    return gradient


def _with_tokens(activations: Tensor, tokens: Tensor, n_prefix: int, token: Token) -> Tensor:
    """Activations `[batch, all tokens, d_in]` with other class tokens, patches, or patches of another mean."""
    whole = activations.expand(len(tokens), -1, -1)
    if token == "cls":
        return torch.cat([tokens, whole[:, 1:]], 1)
    patches = whole[:, n_prefix:]
    moved = tokens if token == "patch" else patches + (tokens - patches.mean(1, keepdim=True))
    return torch.cat([whole[:, :n_prefix], moved], 1)
