"""Entropy of the labels of the images on which a latent fires."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.measures.sparse_latents import check_latents
from hsae.measures.top_images import TopImages


class ClassMassFitter:
    """Adds up every latent's activation by class."""

    def __init__(self, d_sae: int, n_classes: int) -> None:
        self._mass = np.zeros((d_sae, n_classes))

    def update(self, z: Any, labels: NDArray[np.int64]) -> ClassMassFitter:
        """Add latents `[batch, d_sae]` with class indices `[batch]`; images with -1 are left out."""
        d_sae, n_classes = self._mass.shape
        rows = check_latents(z, d_sae)
        labelled = np.flatnonzero(labels >= 0)
        one_hot = csr_array((np.ones(len(labelled)), (labelled, labels[labelled])), shape=(len(labels), n_classes))
        self._mass += (rows.T @ one_hot).toarray()
        return self

    def compute(self) -> NDArray[np.float64]:
        """Total activation `[d_sae, n_classes]` so far."""
        return self._mass.copy()


def class_mass(z: csr_array, labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """Total activation of every latent on every class: `[d_sae, n_classes]`, from `z [n_images, d_sae]`."""
    return ClassMassFitter(z.shape[1], n_classes).update(z, labels).compute()


def entropy(mass: NDArray[np.float64]) -> NDArray[np.float64]:
    """H = -sum_c p(c) ln p(c) in nats of every row of `mass [n, n_classes]` >= 0, p its shares; NaN for an empty row.

    Of class_mass: the label entropy of each latent, in [0, ln n_classes].
    """
    total = mass.sum(1, keepdims=True)
    p = np.divide(mass, total, out=np.zeros_like(mass), where=total > 0)
    terms = p * np.log(p, out=np.zeros_like(p), where=p > 0)
    return np.where(total[:, 0] > 0, 0.0 - terms.sum(1), np.nan)


def top_label_entropy(
    top: TopImages, labels: NDArray[np.int64], n_classes: int, least: int = 10
) -> NDArray[np.float64]:
    """Label entropy over a latent's top images only, weighted by activation: `[d_sae]` in [0, ln k], in nats.

    As in HugoFry's "Towards Multimodal Interpretability" (2024, k = 20); NaN, not its -1, for a latent with fewer than
    `least` labelled top images.
    """
    mass = np.zeros((len(top.images), n_classes))
    usable = np.zeros(len(top.images), np.int64)
    for latent, (images, values) in enumerate(zip(top.images, top.activations, strict=True)):
        labelled = labels[images] >= 0
        np.add.at(mass[latent], labels[images][labelled], values[labelled])
        usable[latent] = labelled.sum()
    return np.where(usable >= least, entropy(mass), np.nan)
