"""Features by free text: those whose photographs a model of images and text (CLIP, SigLIP) finds like it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsae.data.starter_photos import starter_image, starter_rows
from hsae.measures.statistics import benjamini_hochberg
from hsae.views.page.models import Model

if TYPE_CHECKING:
    from hsae.backbones.hf_text import ImageAndText

EACH = 4
"""Photographs that a feature is judged by: those that move it most."""
Q = 0.05
_LEVELS = 1000
"""Cosines are rounded to so many."""


@dataclass(frozen=True)
class Alike:
    """A feature whose photographs are like a text."""

    layer: str
    latent: int
    q: float
    """Expected share of false finds among features at least as much alike."""


class TextSearch:
    """Compares texts with the starter photographs, each of which is looked at once, in the beginning."""

    def __init__(self, encoder: ImageAndText) -> None:
        self.encoder, self.rows = encoder, starter_rows()
        self.photos = encoder.images(map(starter_image, self.rows))

    @property
    def name(self) -> str:
        """What visitors are told of the model: of a folder no more than its own name."""
        return Path(self.encoder.id).name if Path(self.encoder.id).is_dir() else self.encoder.id

    def found(self, model: Model, text: str) -> list[Alike]:
        """The features of all layers that pass, the most alike first.

        A feature's likeness is the sum of the cosines of the text with its `EACH` photographs; p the chance that as
        many, drawn from those of all features, are at least as much like it.
        """
        owners, places = _judged(model, tuple(self.rows))
        if not owners:
            return []
        cosines = self.photos @ self.encoder.texts([text])[0]
        levels = np.rint((cosines - cosines.min()) / max(np.ptp(cosines), 1e-12) * (_LEVELS - 1)).astype(int)
        likeness = levels[places].sum(1)
        q = benjamini_hochberg(pd.Series(chances(levels, places)[likeness])).to_numpy()
        order = np.argsort(-likeness, kind="stable")
        return [Alike(owners[at][0], owners[at][1], float(q[at])) for at in order if q[at] <= Q]


def chances(levels: NDArray[np.int64], places: NDArray[np.int64]) -> NDArray[np.float64]:
    """P(sum of `EACH` levels >= s) by s, of photographs as frequent as among `places`; exact, by convolution."""
    frequency = np.bincount(places.ravel(), minlength=len(levels)) / places.size
    sums = reduce(np.convolve, [np.bincount(levels, frequency, _LEVELS)] * EACH)
    return np.minimum(1.0, sums[::-1].cumsum()[::-1])


@lru_cache(maxsize=8)
def _judged(model: Model, keys: tuple[str, ...]) -> tuple[list[tuple[str, int]], NDArray[np.int64]]:
    """The living features with enough starter photographs; the places of these among the keys `[features, EACH]`."""
    place = {key: at for at, key in enumerate(keys)}
    rows = [(owner, [place[key] for key in shown if key in place][:EACH]) for owner, shown in _shown(model)]
    kept = [(owner, places) for owner, places in rows if len(places) == EACH]
    return [owner for owner, _ in kept], np.array([places for _, places in kept], np.int64).reshape(-1, EACH)


def _shown(model: Model) -> Iterator[tuple[tuple[str, int], list[str]]]:
    for layer in model.artifact.layers:
        dead, top = model.latents(layer)["dead"].to_numpy(), model.artifact.top_images(layer)
        for latent in np.flatnonzero(~dead).tolist():
            yield (layer, latent), [key for key, _ in top[latent]["starter"]]
