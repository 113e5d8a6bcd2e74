"""One layer's names, from the stored activations of labelled images, beside those of random directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.activations.store import ActivationStore
from hsae.hierarchy import Taxonomy
from hsae.measures.directions import random_directions
from hsae.measures.plain import significant
from hsae.measures.splits import heldout_rows
from hsae.measures.wordnet import ChosenNames, LabelledScores, NameRule, choose_names, name_columns, name_score
from hsae.sae.model import SparseAutoencoder

_CELLS = 2**25  # tokens x latents at once
Score = Callable[[Tensor], Tensor]


class LabelledImages:
    """The labelled images of several stores, under one list of classes."""

    def __init__(self, stores: Sequence[ActivationStore], taxonomy: Taxonomy) -> None:
        self.stores, self.taxonomy = tuple(stores), taxonomy
        labels = np.concatenate([_columns(store, taxonomy) for store in self.stores])
        self._labelled = np.flatnonzero(labels >= 0)
        self.labels: NDArray[np.int64] = labels[self._labelled]

    def scores(self, layer: str, score: Score, n: int) -> LabelledScores:
        """`score` of activations `[..., d_in]` is `[..., n]`; an image's is the largest over its tokens."""
        parts = [
            score(part).amax(1).numpy()
            for shard in self._shards(layer)
            for part in shard.split(max(1, _CELLS // (shard.shape[1] * n)))
        ]
        return LabelledScores(np.concatenate(parts)[self._labelled], self.labels)

    def tokens(self, layer: str) -> Tensor:
        """One token of every image, each in its turn: `[n_images, d_in]`."""
        parts = [x[torch.arange(len(x)), torch.arange(len(x)) % x.shape[1]] for x in self._shards(layer)]
        return torch.cat(parts)[torch.from_numpy(self._labelled)]

    def _shards(self, layer: str) -> list[Tensor]:
        return [store.shard(number, layer) for store in self.stores for number in range(store.n_shards)]


@dataclass(frozen=True, eq=False)
class NamedLayer:
    """What naming a layer's latents gives."""

    columns: pd.DataFrame
    """`node` ... `named` of the artifact's table."""
    numbers: dict[str, Any]
    """n_named, median_precision of the named, and the name score, all on the test images; `random` directions' too."""


@dataclass(frozen=True, eq=False)
class Splits:
    """Images that choose, confirm and test names; no image is in two of them."""

    choose: LabelledImages
    confirm: NDArray[np.int64]
    """Rows of `choose` that confirm."""
    test: LabelledImages

    @property
    def counts(self) -> dict[str, int]:
        """How many images each has."""
        n_confirm = len(self.confirm)
        return {"choice": len(self.choose.labels) - n_confirm, "confirm": n_confirm, "test": len(self.test.labels)}


def split_images(choose: LabelledImages, test: LabelledImages, confirm_share: float, seed: int) -> Splits:
    """`confirm_share` of every class of the images in `choose` confirms."""
    return Splits(choose, heldout_rows(choose.labels.tolist(), confirm_share, seed), test)


@torch.no_grad()
def name_layer(sae: SparseAutoencoder, layer: str, splits: Splits, rule: NameRule) -> NamedLayer:
    """Name the latents of a layer, and as many random directions of N(0, cov(x)), by the same rule."""
    columns, numbers = _named(sae.pre_activation, sae.d_sae, layer, splits, rule)
    directions = random_directions(splits.choose.tokens(layer), sae.d_sae, rule.seed)
    _, random = _named(lambda x: x @ directions.T, sae.d_sae, layer, splits, rule)
    return NamedLayer(columns, numbers | {"random": random})


def _named(score: Score, n: int, layer: str, splits: Splits, rule: NameRule) -> tuple[pd.DataFrame, dict[str, Any]]:
    chosen = _chosen(splits.choose.scores(layer, score, n), splits, rule)
    test = splits.test.scores(layer, score, n)
    columns = name_columns(chosen, test)
    precision = columns.node_precision[columns.named == 1]
    median = None if precision.isna().all() else float(precision.median())
    numbers = {"n_named": int(chosen.named.sum()), "median_precision": median} | asdict(name_score(chosen, test))
    return columns, significant(numbers, 4)


def _chosen(scores: LabelledScores, splits: Splits, rule: NameRule) -> ChosenNames:
    confirms = np.zeros(len(scores.labels), dtype=bool)
    confirms[splits.confirm] = True
    choice, confirm = (LabelledScores(scores.scores[rows], scores.labels[rows]) for rows in (~confirms, confirms))
    return choose_names(splits.choose.taxonomy, choice, confirm, rule)


def _columns(store: ActivationStore, taxonomy: Taxonomy) -> NDArray[np.int64]:
    """Every image's class as a column of the taxonomy, -1 for none."""
    column = np.array([*taxonomy.columns(store.classes), -1], dtype=np.int64)
    return column[store.labels.numpy()]
