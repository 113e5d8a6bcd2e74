"""The same photograph in other styles: what it shows stays, how it looks does not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy.ndimage import sobel

TILES = 28
"""Tiles in a row of a mosaic: few enough that no texture is left, and colours and coarse shapes are."""
INK = 98
"""Percentile of the gradients that is drawn black: a few very sharp edges would leave the others invisible."""


def grey(picture: Image.Image) -> Image.Image:
    """Without colour."""
    return picture.convert("L").convert("RGB")


def edges(picture: Image.Image) -> Image.Image:
    """A drawing: the strength of the brightness gradient (Sobel), black on white; white where nothing changes."""
    brightness = np.asarray(picture.convert("L"), dtype=np.float64)
    strength = np.hypot(sobel(brightness, 0), sobel(brightness, 1))
    ink = strength / (np.percentile(strength, INK) or strength.max() or 1.0)
    return Image.fromarray((255 * (1 - ink.clip(0, 1))).round().astype(np.uint8)).convert("RGB")


def mosaic(picture: Image.Image) -> Image.Image:
    """28 x 28 tiles, each of the mean colour of what it covers."""
    tiles = picture.resize((TILES, TILES), Image.Resampling.BOX)
    return tiles.resize(picture.size, Image.Resampling.NEAREST)


STYLES: dict[str, Callable[[Image.Image], Image.Image]] = {"grey": grey, "edges": edges, "mosaic": mosaic}
"""A style is a row: an RGB picture becomes one of the same size."""
