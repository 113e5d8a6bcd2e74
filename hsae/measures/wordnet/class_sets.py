"""Which classes a latent fires for, and where those classes meet in WordNet: one table row per latent.

Three steps, so that each can be replaced: images -> `FiringRates` -> a selection (bool [n_latents, n_classes], by any
rule) -> `latent_hierarchy`. Use held-out images and the activation threshold of inference. The class-selection rule of
Olson et al. (arXiv 2505.15970) is unknown; the one here is this project's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from hsae.errors import InputError, LabelError
from hsae.hierarchy.lch import MISSING, at_nodes, best_node_rows, lch_rows
from hsae.hierarchy.taxonomy import Taxonomy


@dataclass(frozen=True, eq=False)
class FiringRates:
    """How often each latent fires on each class.

    fired   int [n_latents, n_classes], images of the class on which the latent is > 0
    images  int [n_classes], images of the class
    """

    fired: np.ndarray
    images: np.ndarray

    @cached_property
    def rates(self) -> np.ndarray:
        """fired / images, float [n_latents, n_classes] in [0, 1]; NaN for a class without images."""
        return self.fired / np.where(self.images > 0, self.images, np.nan)


class FiringRateFitter:
    """Counts firings batch by batch; the fitters of two halves of the data are independent of each other."""

    def __init__(self, n_latents: int, n_classes: int) -> None:
        self._fired = np.zeros((n_latents, n_classes), dtype=np.int32)
        self._images = np.zeros(n_classes, dtype=np.int64)

    def update(self, latents: Any, labels: Any) -> FiringRateFitter:
        """Add a batch of images: latents [batch, n_latents] (tensor, array or scipy sparse), class numbers [batch]."""
        n_latents, n_classes = self._fired.shape
        rows, fired = _firings(latents, n_latents)
        labels = _class_numbers(labels, latents.shape[0], n_classes)
        np.add.at(self._fired, (fired, labels[rows]), 1)
        self._images += np.bincount(labels, minlength=n_classes)
        return self

    def compute(self) -> FiringRates:
        """The rates over all images so far; InputError if there were none."""
        if not self._images.any():
            raise InputError("no image was counted", "at least one update with a non-empty batch")
        return FiringRates(self._fired.copy(), self._images.copy())


def firing_rates(latents: Any, labels: Any, n_classes: int) -> FiringRates:
    """Firing rates of all latents from one matrix [n_images, n_latents]; see FiringRateFitter for batches."""
    return FiringRateFitter(latents.shape[1], n_classes).update(latents, labels).compute()


def select_classes(rates: FiringRates | np.ndarray, tau: float = 0.5) -> np.ndarray:
    """Classes on at least the share tau of whose images a latent fires: bool [n_latents, n_classes].

    tau in (0, 1]. A class without images is never selected.
    """
    if not 0 < tau <= 1:
        raise InputError(f"tau is {tau}", "a firing rate in (0, 1]")
    return (rates.rates if isinstance(rates, FiringRates) else np.asarray(rates)) >= tau


def latent_hierarchy(taxonomy: Taxonomy, selected: np.ndarray) -> pd.DataFrame:
    """Where the classes of every latent meet: one row per latent, from a selection bool [n_latents, n_classes].

    latent, n_classes           its number; how many classes were selected
    lch                         lowest common hypernym, a WordNet id
    minimal_common_hypernyms    all minimal common ancestors, the LCH first
    lch_height, lch_contracted_height, lch_leaf_count, coverage    of the LCH; coverage in (0, 1]
    best_node, best_node_f1, best_node_jaccard    node whose classes match the selection best; scores in (0, 1]

    Without a class everything after n_classes is missing (or an empty tuple), never 0. Latents with one class have
    height 0 and coverage 1 by definition (unless the class has others below it): count both kinds, and keep them out
    of densities.
    `attrs` holds the taxonomy's rules; add the selection rule when you store the table.
    """
    lch = lch_rows(taxonomy, selected)
    best, f1 = best_node_rows(taxonomy, selected)
    n_classes = np.asarray(selected).sum(axis=1)
    table = pd.DataFrame(
        {
            "latent": np.arange(len(lch)),
            "n_classes": n_classes,
            "lch": wnids(taxonomy, lch),
            "minimal_common_hypernyms": _minimal(taxonomy, selected),
            "lch_height": _integers(taxonomy.heights, lch),
            "lch_contracted_height": _integers(taxonomy.contracted_heights, lch),
            "lch_leaf_count": _integers(taxonomy.leaf_counts, lch),
            "coverage": at_nodes(n_classes / taxonomy.leaf_counts[lch], lch),
            "best_node": wnids(taxonomy, best),
            "best_node_f1": f1,
            "best_node_jaccard": f1 / (2 - f1),
        }
    )
    table.attrs.update(taxonomy.rules)
    return table


def wnids(taxonomy: Taxonomy, position: np.ndarray) -> pd.Series:
    """Node positions `[n]` as WordNet ids, None for MISSING."""
    return pd.Series([None if p == MISSING else taxonomy.nodes[p] for p in position], dtype=object)


def _firings(latents: Any, n_latents: int) -> tuple[np.ndarray, np.ndarray]:
    """Image and latent number of every activation above 0."""
    if hasattr(latents, "detach"):
        latents = latents.detach().float().cpu().numpy()
    if latents.ndim != 2 or latents.shape[1] != n_latents:
        raise InputError(f"latents of shape {latents.shape}", f"[batch, {n_latents}]")
    stored = latents.data if scipy.sparse.issparse(latents) else latents
    if np.isnan(stored).any():
        raise InputError("the latents hold NaN", "activations of a trained SAE, 0 where a latent is silent")
    return (latents > 0).nonzero()


def _class_numbers(labels: Any, n_images: int, n_classes: int) -> np.ndarray:
    labels = np.asarray(labels.cpu() if hasattr(labels, "cpu") else labels)
    if labels.shape != (n_images,):
        raise InputError(f"labels of shape {labels.shape}", f"[{n_images}], one for every image")
    if not np.issubdtype(labels.dtype, np.integer):
        raise LabelError(f"labels of type {labels.dtype}", "class numbers (columns of the class list)")
    outside = np.unique(labels[(labels < 0) | (labels >= n_classes)])
    if outside.size:
        raise LabelError(f"class numbers {', '.join(map(str, outside[:10]))}", f"0 .. {n_classes - 1}")
    return labels


def _minimal(taxonomy: Taxonomy, selected: np.ndarray) -> pd.Series:
    classes = np.array(taxonomy.classes)
    return pd.Series([taxonomy.minimal_common_hypernyms(classes[row]) for row in selected], dtype=object)


def _integers(values: np.ndarray, position: np.ndarray) -> pd.arrays.IntegerArray:
    return pd.arrays.IntegerArray(values[position].astype(np.int32), position == MISSING)
