"""Maps as brightness: what speaks for a target keeps its light, the rest of the picture is dimmed."""

from __future__ import annotations

import base64
import hashlib
from io import BytesIO

import numpy as np
from PIL import Image

from hsae.relevancy import RelevancyMap

_SIDE = 56
"""Of a mask in pixels; the browser enlarges it smoothly."""
_DIMMED = 0.4
"""Light that is left where nothing speaks for the target, as in style.css."""


def brightness(found: RelevancyMap, side: int) -> np.ndarray:
    """The positive part of a map, `[side, side]` in [0, 1]; its root, since the eye takes a half for much less."""
    return np.sqrt(np.clip(found.displayed(side, side), 0, 1))


def mask_uri(found: RelevancyMap) -> str:
    """A map as the alpha of a small image, as a data URI."""
    pixels = np.zeros((_SIDE, _SIDE, 2), dtype=np.uint8)
    pixels[..., 1] = np.round(255 * brightness(found, _SIDE))
    buffer = BytesIO()
    Image.fromarray(pixels, "LA").save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def mask_name(*what: object) -> str:
    """The CSS variable under which masks.js keeps the mask of a picture: what is shown, and in which picture."""
    return f"--shot-{hashlib.sha256('|'.join(map(str, what)).encode()).hexdigest()[:16]}"


def dimmed(photo: Image.Image, found: RelevancyMap) -> Image.Image:
    """A square photograph as the browser shows it under the mask of a map."""
    dark = Image.blend(photo, photo.convert("L").convert("RGB"), 0.7).point(lambda value: int(_DIMMED * value))
    alpha = np.round(255 * brightness(found, photo.width)).astype(np.uint8)
    return Image.composite(photo, dark, Image.fromarray(alpha))
