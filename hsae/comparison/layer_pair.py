"""Two layers' SAEs compared on the same images by every score, each beside its chance level."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.comparison.correlation import correlations
from hsae.comparison.matching import Matching, match
from hsae.comparison.overlap import chance_best_overlap, chance_overlap, overlaps, top_sets
from hsae.errors import InputError
from hsae.measures.top_images import TopImages, top_images

TOP = (9, 20)
"""Sizes k of the top-k overlaps."""
SCORES = (*(f"overlap{k}" for k in TOP), "correlation")
MAIN = "overlap20"
"""The score by which a latent has a partner or none."""
LEVEL = 0.99
"""A latent has a partner when it scores more than this share of all latents do on shuffled images."""
SHUFFLED, WITHIN = "shuffled", "within_classes"


@dataclass(frozen=True, eq=False)
class LayerLatents:
    """Latents of a layer on the images, `z [n_images, d_sae]`, with their top images and which of them ever fire."""

    z: csr_array
    top: TopImages
    living: NDArray[np.bool_]

    @classmethod
    def of(cls, z: csr_array) -> LayerLatents:
        """From latents alone; InputError for fewer images than the largest k."""
        if z.shape[0] < max(TOP):
            raise InputError(f"{z.shape[0]} images", f"at least {max(TOP)}, for the overlap of that many")
        return cls(z, top_images(z, max(TOP)), np.bincount(z.indices, minlength=z.shape[1]) > 0)


@dataclass(frozen=True, eq=False)
class ScoredMatching:
    """Partners by one score, on the images as they are and on shuffled ones."""

    matching: Matching
    chance: Mapping[str, Matching]
    """By the name of the shuffle: the same score when the images of B are exchanged."""
    chance_pair: float | None
    """Expected score of one pair of latents, where a formula exists."""
    chance_best: float | None
    """Expected best score of a latent if the top images of all latents were independent, likewise."""

    @property
    def has_partner(self) -> NDArray[np.bool_]:
        """Latents of A whose best score is above LEVEL of those on shuffled images, `[d_a]`."""
        return beyond_chance(self.matching.score, self.chance[SHUFFLED].score)

    def reversed(self) -> ScoredMatching:
        """The same seen from B; the expected best score is that of A's latents, and None here."""
        chance = {name: matching.reversed() for name, matching in self.chance.items()}
        return ScoredMatching(self.matching.reversed(), chance, self.chance_pair, None)


LayerMatch = Mapping[str, ScoredMatching]
"""By the names in SCORES."""


def threshold(chance: NDArray[np.float32]) -> float:
    """The LEVEL quantile of scores on shuffled images, which a partner has to exceed; NaN without scores.

    Overlaps are whole numbers of images, so that fewer than 1 - LEVEL exceed it, and differently many by layer.
    """
    scores = chance[~np.isnan(chance)]
    return float(np.quantile(scores, LEVEL)) if len(scores) else np.nan


def beyond_chance(score: NDArray[np.float32], chance: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Where `score` is above the threshold of `chance`; that of a latent dead on the images (NaN) never is."""
    return score > threshold(chance)


def shuffles(n_images: int, labels: NDArray[np.int64] | None = None, seed: int = 0) -> dict[str, NDArray[np.int64]]:
    """Orders of the images by name: any, and with `labels` one that exchanges images only within their class.

    What remains under the second is what two latents share because they follow the same labels.
    """
    generator = np.random.default_rng(seed)
    orders = {SHUFFLED: generator.permutation(n_images)}
    if labels is not None and (labels >= 0).any():
        mixed = generator.permutation(n_images)
        order = np.empty(n_images, np.int64)
        order[np.argsort(labels, kind="stable")] = mixed[np.argsort(labels[mixed], kind="stable")]
        orders[WITHIN] = order
    return orders


def match_layers(a: LayerLatents, b: LayerLatents, orders: Mapping[str, NDArray[np.int64]]) -> LayerMatch:
    """Partners by every score with their chance levels; row i of both is image i, `orders` from `shuffles`."""
    n_images = a.z.shape[0]
    if b.z.shape[0] != n_images:
        raise InputError(f"latents of {n_images} and of {b.z.shape[0]} images", "the same images for both")
    shuffled = {name: b.z[order] for name, order in orders.items()}
    scored = {
        f"overlap{k}": ScoredMatching(
            _match_by_overlap(a, b, k, None),
            {name: _match_by_overlap(a, b, k, order) for name, order in orders.items()},
            chance_overlap(k, n_images),
            chance_best_overlap(k, n_images, int(b.living.sum())),
        )
        for k in TOP
    }
    by_chance = {name: match(correlations(a.z, z), a.living, b.living) for name, z in shuffled.items()}
    matching = match(correlations(a.z, b.z), a.living, b.living)
    return scored | {"correlation": ScoredMatching(matching, by_chance, 0.0, None)}


def _match_by_overlap(a: LayerLatents, b: LayerLatents, k: int, order: NDArray[np.int64] | None) -> Matching:
    top_a, top_b = (top_sets(layer.top, layer.z.shape[0], k) for layer in (a, b))
    return match(overlaps(top_a, top_b if order is None else csr_array(top_b[:, order]), k), a.living, b.living)
