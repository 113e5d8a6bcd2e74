"""Backbones that have learned nothing: what the bare pixels or colours of an image say, as a floor for any model."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from hsae.backbones.base import Backbone, LayerSpec, Preprocessing

PIXELS, COLOURS = 16, 6
"""Rows and columns of the small picture; bins of each of the three colours."""


class Floor(nn.Module):
    """A fixed function of pixels `[batch, 3, height, width]` in [0, 1] to one token `[batch, 1, width]`."""

    width: int

    def __init__(self, size: int) -> None:
        super().__init__()
        # Its only number, as a parameter: device, dtype and fingerprint are those of a model's parameters.
        self.size = nn.Parameter(torch.tensor(float(size)), requires_grad=False)


class SmallPicture(Floor):
    """The picture shrunk to size x size pixels."""

    def __init__(self, size: int = PIXELS) -> None:
        super().__init__(size)
        self.width = 3 * size**2

    def forward(self, pixels: Tensor) -> Tensor:
        return adaptive_avg_pool2d(pixels, int(self.size)).flatten(1)[:, None]


class ColourHistogram(Floor):
    """Share of the pixels in each of size^3 cubes of red, green and blue."""

    def __init__(self, size: int = COLOURS) -> None:
        super().__init__(size)
        self.width = size**3

    def forward(self, pixels: Tensor) -> Tensor:
        size = int(self.size)
        red, green, blue = (pixels * size).long().clamp(0, size - 1).flatten(2).unbind(1)
        cube = (red * size + green) * size + blue
        counts = torch.zeros(len(cube), self.width, dtype=pixels.dtype, device=pixels.device)
        counts.scatter_add_(1, cube, torch.ones_like(cube, dtype=pixels.dtype))
        return (counts / cube.shape[1])[:, None]


FLOORS: dict[str, tuple[str, type[SmallPicture] | type[ColourHistogram]]] = {
    "raw-pixels": ("pixels", SmallPicture),
    "colour-histogram": ("colours", ColourHistogram),
}
"""The name of the only layer, and what it holds, by name of the backbone."""


class FloorBackbone(Backbone):
    """One layer with one token for the whole image, and no class token: extract it with token mean."""

    def __init__(self, id: str, layer: str, model: Floor, image_size: int) -> None:
        self.id, self.revision, self.model = id, None, model
        self.preprocessing = Preprocessing(image_size, (0.0,) * 3, (1.0,) * 3)
        self.layers = {layer: LayerSpec(layer, model.width, 0)}

    def embed(self, pixels: Tensor) -> Tensor:
        return pixels

    def stages(self) -> dict[str, Callable[[Tensor], Tensor]]:
        return dict.fromkeys(self.layers, self.model)

    def tokens(self, state: Tensor) -> Tensor:
        return state

    def state(self, tokens: Tensor) -> Tensor:
        return tokens

    def grid(self, layer: str, height: int, width: int) -> tuple[int, int]:
        self.layer_names([layer])
        return 1, 1


def load_floor(
    name: str, *, image_size: int = 224, device: str | torch.device = "cpu", dtype: torch.dtype = torch.float32
) -> FloorBackbone:
    """A row of FLOORS; it needs no weights."""
    layer, kind = FLOORS[name]
    backbone = FloorBackbone(name, layer, kind(), image_size)
    backbone.cast(dtype)
    backbone.model.to(device)
    return backbone
