"""Colours and fineness of texture of an image: features of its appearance, not of its content."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 64  # pixels; one size, so that the resolution of the photographs does not matter
_STEPS = (1, 2, 4)
N_FEATURES = 6 + 2 * len(_STEPS)


def colour_texture(image: Image.Image) -> NDArray[np.float32]:
    """12 numbers in [0, 1]: mean and standard deviation of red, green and blue, and the mean absolute difference of
    luminance between pixels 1, 2 and 4 apart, across and down, of the image brought to 64 x 64.

    Grey images have three equal means; a uniform one has 0 everywhere else. This choice of features is our own [R].
    """
    small = image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2)
    colour = np.asarray(small, np.float64) / 255
    light = colour @ np.array([0.299, 0.587, 0.114])
    texture = [
        np.abs(difference).mean()
        for step in _STEPS
        for difference in (light[:, step:] - light[:, :-step], light[step:] - light[:-step])
    ]
    return np.array([*colour.mean((0, 1)), *colour.std((0, 1)), *texture], np.float32)


class ClassMeanFitter:
    """Adds up vectors by class."""

    def __init__(self, n_classes: int, n_features: int = N_FEATURES) -> None:
        self._sum = np.zeros((n_classes, n_features))
        self._count = np.zeros(n_classes, np.int64)

    def update(self, vectors: NDArray[np.float32], labels: Iterable[int]) -> ClassMeanFitter:
        """Add vectors `[batch, n_features]` with class indices `[batch]`; those with -1 are left out."""
        labels = np.asarray(labels)
        np.add.at(self._sum, labels[labels >= 0], np.asarray(vectors)[labels >= 0])
        self._count += np.bincount(labels[labels >= 0], minlength=len(self._count))
        return self

    def compute(self) -> NDArray[np.float64]:
        """Mean vector of every class `[n_classes, n_features]`; NaN for a class without images."""
        return self._sum / np.where(self._count > 0, self._count, np.nan)[:, None]


def class_means(vectors: NDArray[np.float32], labels: Iterable[int], n_classes: int) -> NDArray[np.float64]:
    """Mean of `vectors [n, n_features]` over each class, from class indices `[n]`; see the fitter."""
    return ClassMeanFitter(n_classes, vectors.shape[1]).update(vectors, labels).compute()
