"""The images on which each latent is strongest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


@dataclass(frozen=True)
class TopImages:
    """The k strongest images of every latent, strongest first; equal activations in the order of the images."""

    images: list[NDArray[np.int64]]
    """Image indices per latent, at most k; empty for a dead latent."""
    activations: list[NDArray[np.float32]]
    """Their activations, all > 0."""


def top_images(z: csr_array, k: int = 9) -> TopImages:
    """The k images with the largest positive activation, for every latent of `z [n_images, d_sae]`."""
    columns = z.tocsc().sorted_indices()
    images, activations = [], []
    for start, end in zip(columns.indptr, columns.indptr[1:], strict=False):
        values, rows = columns.data[start:end], columns.indices[start:end]
        order = np.argsort(-values, kind="stable")[:k]
        images.append(rows[order].astype(np.int64))
        activations.append(values[order].astype(np.float32))
    return TopImages(images, activations)
