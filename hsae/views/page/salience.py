"""Where the square of an uploaded photograph lies at first: on what stands out, not always in the middle.

Spectral residual (Hou & Zhang, CVPR 2007): the log amplitude spectrum of a photograph minus its own local mean; what is
left, taken back to the picture, is strong where the picture differs from its surroundings. No model looks at it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, uniform_filter

from hsae.views.page.squares import CENTRE, PLACES

_SIDE = 64
"""The short side at which the picture is looked at: details of it are texture."""
_BLUR = 2.5
_LONGEST = 8
"""Of a picture that is longer, times its short side, the middle is taken: it would be large at that scale."""
_OF_THE_MIDDLE = 0.1
"""A square at the end needs as much more of the salience than the middle one: photographers aim."""


def salient_place(image: Image.Image) -> int:
    """Per cent of the way along the long side at which the square holds the most salience, one of PLACES."""
    if max(image.size) > _LONGEST * min(image.size):
        return CENTRE
    map = salience(image)
    along = map.sum(0 if image.width > image.height else 1)
    side = min(map.shape)
    starts = {place: (len(along) - side) * place // 100 for place in PLACES}
    held = {place: along[start : start + side].sum() for place, start in starts.items()}
    return max(PLACES, key=lambda place: held[place] * (1 - _OF_THE_MIDDLE * abs(place - CENTRE) / CENTRE))


def salience(image: Image.Image) -> NDArray[np.float64]:
    """`[rows, columns]`, the short side 64: how much each place differs from its surroundings, 0 or more."""
    scale = _SIDE / min(image.size)
    width, height = (round(length * scale) for length in image.size)
    small = np.asarray(image.convert("RGB").resize((width, height), Image.Resampling.BILINEAR), dtype=float)
    spectrum = np.fft.fft2(small, axes=(0, 1))
    amplitude = np.log(np.abs(spectrum) + 1e-9)
    residual = amplitude - uniform_filter(amplitude, (3, 3, 1), mode="wrap")
    back = np.abs(np.fft.ifft2(np.exp(residual + 1j * np.angle(spectrum)), axes=(0, 1))) ** 2
    return gaussian_filter(back.sum(-1), _BLUR)
