"""Backbones whose stages pass feature maps: a CNN's tokens are the places of its map, row by row."""

from __future__ import annotations

from math import isqrt
from typing import Any

from torch import Tensor

from hsae.backbones.base import Backbone, nearest_cells
from hsae.errors import InputError


class MapBackbone(Backbone):
    """A backbone whose state is a map `[batch, d_in, rows, columns]` of a square image, with no tokens before it."""

    def tokens(self, state: Tensor) -> Tensor:
        return state.flatten(2).transpose(1, 2)

    def state(self, tokens: Tensor) -> Tensor:
        side = square_side(tokens.shape[1])
        return tokens.transpose(1, 2).unflatten(2, (side, side))

    def token_map(self, layer: str, pixels: Tensor) -> Tensor:
        """For every pixel the place of the layer's map nearest to it, int64 `[height, width]`."""
        name, height, width = self._layer_and_size(layer, pixels)
        return nearest_cells(*self.grid(name, height, width), height, width).to(pixels.device)


def channel_output(conv: Any, norm: Any) -> Tensor:
    """What each channel that a 2d convolution reads adds behind its batch norm, `[n_channels, d_in]`.

    Of a kernel wider than a place, the sum over its places: what a channel raised all over adds to each place.
    """
    return (conv.weight.sum((2, 3)).T * (norm.weight / (norm.running_var + norm.eps).sqrt())).detach()


def square_side(n_patches: int) -> int:
    """Rows (and columns) of a square map with so many places; InputError when no square has that many."""
    side = isqrt(n_patches)
    if side * side != n_patches:
        raise InputError(f"{n_patches} patches", "those of a square image: 1, 4, 9 ...")
    return side


def require_square(pixels: Tensor) -> None:
    """InputError unless the pixels are square: the shape of a map could not be told from the number of its tokens."""
    height, width = pixels.shape[-2:]
    if height != width:
        raise InputError(f"an image of {height} x {width} pixels", "a square one", "Crop it, as `pixels` does.")
