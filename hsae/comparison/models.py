"""Two models compared latent by latent: every layer's SAE of A with every layer's of B, on the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array
from tqdm import tqdm

from hsae.comparison.layer_pair import (
    MAIN,
    SHUFFLED,
    LayerLatents,
    LayerMatch,
    beyond_chance,
    match_layers,
    shuffles,
)
from hsae.comparison.matching import NONE
from hsae.comparison.stitching import Stitching
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy


@dataclass(frozen=True, eq=False)
class Model:
    """One of the two models: its latents on the images, and the tables of its artifact."""

    name: str
    latents: Mapping[str, csr_array]
    """z `[n_images, d_sae]` by layer, in model order."""
    tables: Mapping[str, pd.DataFrame]
    """By layer, one row per latent, columns as in an artifact's latents.parquet."""
    curves: Mapping[str, Any]
    """By layer, as in an artifact's curves.json; may be empty."""

    def __post_init__(self) -> None:
        wrong = [n for n, z in self.latents.items() if n not in self.tables or len(self.tables[n]) != z.shape[1]]
        if wrong or not self.latents:
            raise InputError(f"{self.name} without a table of the latents of {wrong or 'any layer'}", "one for each")


@dataclass(frozen=True, eq=False)
class Partners:
    """The best partner of every latent of one layer in all layers of the other model; arrays `[d_sae]`."""

    score: NDArray[np.float32]
    """By MAIN, in [0, 1]; NaN for a latent that fires on no image."""
    layer: NDArray[np.int64]
    """Number of the other model's layer."""
    partner: NDArray[np.int32]
    """Its latent in that layer; NONE without one."""
    mutual: NDArray[np.bool_]
    """Whether each is the other's best partner between these two layers."""
    chance: Mapping[str, NDArray[np.float32]]
    """The same score on shuffled images, by the name of the shuffle."""

    @property
    def beyond(self) -> NDArray[np.bool_]:
        """Scores more than LEVEL of the layer's latents do on shuffled images."""
        return beyond_chance(self.score, self.chance[SHUFFLED])


@dataclass(frozen=True, eq=False)
class Comparison:
    """Partners between all layers of two models, with their chance levels."""

    a: Model
    b: Model
    n_images: int
    taxonomy: Taxonomy
    """Of the classes of A: heights of nodes are measured in it."""
    pairs: Mapping[tuple[str, str], LayerMatch]
    """By (layer of A, layer of B)."""
    r2: Mapping[tuple[str, str], NDArray[np.float64]]
    """How well a linear map of A's latents gives each latent of B, `[d_b]`; empty when no map was fitted."""

    def partners(self, layer: str) -> Partners:
        """Best partners of the latents of a layer of A anywhere in B."""
        matches = [self.pairs[layer, other][MAIN] for other in self.b.latents]
        best = np.nan_to_num([scored.matching.score for scored in matches], nan=-1).argmax(0)
        chosen = np.arange(len(best))

        def at_best(arrays: list[np.ndarray]) -> np.ndarray:
            return np.stack(arrays)[best, chosen]

        return Partners(
            at_best([scored.matching.score for scored in matches]),
            best,
            at_best([scored.matching.partner for scored in matches]),
            at_best([scored.matching.mutual for scored in matches]),
            {name: np.stack([scored.chance[name].score for scored in matches]).max(0) for name in matches[0].chance},
        )

    @cached_property
    def reversed(self) -> Comparison:
        """The same comparison seen from B, without the stitching."""
        pairs = {
            (other, layer): {name: scored.reversed() for name, scored in self.pairs[layer, other].items()}
            for other in self.b.latents
            for layer in self.a.latents
        }
        return Comparison(self.b, self.a, self.n_images, self.taxonomy, pairs, {})

    def shared_nodes(self, layer: str, other: str, partner: NDArray[np.int32]) -> NDArray[np.float64]:
        """1 where a latent of A's layer and its `partner` in B's have the same best node, 0 where they differ, `[d_a]`.

        NaN where either has no best node, or there is no partner.
        """
        nodes, other_nodes = self.a.tables[layer].best_node, self.b.tables[other].best_node
        partner_nodes = other_nodes.to_numpy(object)[partner]
        both = nodes.notna().to_numpy() & pd.notna(partner_nodes) & (partner != NONE)
        return np.where(both, nodes.to_numpy(object) == partner_nodes, np.nan)


def compare(
    a: Model, b: Model, labels: NDArray[np.int64], taxonomy: Taxonomy, *, stitch: bool = True, progress: bool = False
) -> Comparison:
    """Match every layer of A with every layer of B; row i of all latents is the same image.

    labels `[n_images]`: their classes, -1 for none; stitch: also fit the linear maps from A to B. InputError for
    different numbers of images, or fewer than 20.
    """
    counts = {z.shape[0] for model in (a, b) for z in model.latents.values()} | {len(labels)}
    if len(counts) != 1:
        raise InputError(f"latents and labels of {sorted(counts)} images", "the same images for everything")
    orders = shuffles(len(labels), labels)
    latents_b = {name: LayerLatents.of(z) for name, z in b.latents.items()}
    pairs, r2 = {}, {}
    with tqdm(total=len(a.latents) * len(latents_b), desc="comparison", unit="pair", disable=not progress) as bar:
        for layer, z in a.latents.items():
            latents_a = LayerLatents.of(z)
            stitching = Stitching(z) if stitch else None
            for other, other_latents in latents_b.items():
                pairs[layer, other] = match_layers(latents_a, other_latents, orders)
                if stitching is not None:
                    r2[layer, other] = stitching.r2(other_latents.z)
                bar.update()
    return Comparison(a, b, len(labels), taxonomy, pairs, r2)
