"""Where the classes lie in a layer: the mean of each, and how far apart they are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.errors import InputError

MIN_IMAGES = 2
"""Images of a class that its mean takes at least."""
SHUFFLES = 200
"""Draws of chance: the same class means, dealt out to the classes anew."""


@dataclass(frozen=True, eq=False)
class ClassMeans:
    """Means of the classes that have images, in units in which every dimension of the activations has variance 1."""

    columns: NDArray[np.int64]
    """Which classes of the taxonomy they are, rising, `[n]`."""
    means: Tensor
    """`[n, d_in]`, float64, less the mean over classes."""

    @cached_property
    def distances(self) -> NDArray[np.float64]:
        """Euclidean, `[n, n]`."""
        return torch.cdist(self.means, self.means, compute_mode="donot_use_mm_for_euclid_dist").numpy()

    @cached_property
    def products(self) -> NDArray[np.float64]:
        """Inner products, `[n, n]`."""
        return (self.means @ self.means.T).numpy()


def class_means(x: Tensor, labels: Tensor, min_images: int = MIN_IMAGES) -> ClassMeans:
    """Means of `x [n, d_in]` by class; labels `[n]`, -1 for none. InputError for fewer than three classes."""
    x, labels = x[labels >= 0].double(), labels[labels >= 0]
    counts = torch.bincount(labels)
    columns = torch.nonzero(counts >= min_images)[:, 0]
    if len(columns) < 3:
        got = f"{len(columns)} classes with {min_images} images or more"
        raise InputError(got, "three classes at least", "Take more images.")
    mean, std = x.mean(0), x.std(0, correction=0)
    standard = (x - mean) / torch.where(std > 1e-6 * std.max(), std, 1.0)
    sums = torch.zeros(len(counts), x.shape[1], dtype=x.dtype).index_add_(0, labels, standard)
    means = sums[columns] / counts[columns, None]
    return ClassMeans(columns.numpy(), means - means.mean(0))


def shuffles(n: int, draws: int = SHUFFLES, seed: int = 0) -> NDArray[np.int64]:
    """Random orders of n classes, `[draws, n]`."""
    random = np.random.default_rng(seed)
    return np.stack([random.permutation(n) for _ in range(draws)])
