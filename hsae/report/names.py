"""One layer's names, from the stored activations of labelled images, beside those of random directions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.activations.store import ActivationStore
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from hsae.measures.directions import random_directions
from hsae.measures.plain import significant
from hsae.measures.splits import rows_apart
from hsae.measures.wordnet import LabelledScores, NameRule, choose_names, name_columns, name_score
from hsae.report.shown_names import labels
from hsae.sae.model import SparseAutoencoder

_CELLS = 2**25  # tokens x latents at once
Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class LabelledImages:
    """Labelled images in several stores, under one list of classes."""

    stores: tuple[ActivationStore, ...]
    taxonomy: Taxonomy
    images: NDArray[np.int64]
    """Which of the stores' images they are, rising, counted over all stores `[n_images]`."""
    labels: NDArray[np.int64]
    """Column of each in the taxonomy `[n_images]`."""

    def subset(self, rows: NDArray[np.int64]) -> LabelledImages:
        """Some of them: `rows` rising."""
        return replace(self, images=self.images[rows], labels=self.labels[rows])

    def scores(self, layer: str, score: Score, n: int) -> LabelledScores:
        """`score` of activations `[..., d_in]` is `[..., n]`; an image's is the largest over its tokens."""
        scores, done = np.empty((len(self.images), n), dtype=np.float32), 0
        for x in self._activations(layer):
            for part in x.split(max(1, _CELLS // (x.shape[1] * n))):
                scores[done : done + len(part)] = score(part).amax(1).numpy()
                done += len(part)
        return LabelledScores(scores, self.labels)

    def tokens(self, layer: str) -> Tensor:
        """One token of every image, each in its turn: `[n_images, d_in]`."""
        return torch.cat([x[torch.arange(len(x)), torch.arange(len(x)) % x.shape[1]] for x in self._activations(layer)])

    def activations(self, layer: str) -> Tensor:
        """All of them, `[n_images, tokens, d_in]`; every image has the same number of tokens."""
        return torch.cat(list(self._activations(layer)))

    def _activations(self, layer: str) -> Iterator[Tensor]:
        """Those in each shard, `[images, tokens, d_in]`."""
        start = 0
        for store in self.stores:
            for number, (images, _) in enumerate(store.shard_shapes):
                here = self.images[(self.images >= start) & (self.images < start + images)] - start
                yield store.shard(number, layer)[torch.from_numpy(here)]
                start += images


def labelled_images(stores: Sequence[ActivationStore], taxonomy: Taxonomy) -> LabelledImages:
    """All images that have a label; InputError without one, LabelError for classes that the taxonomy lacks."""
    classes = np.concatenate([_columns(store, taxonomy) for store in stores])
    images = np.flatnonzero(classes >= 0)
    if not len(images):
        got = f"{len(classes)} images without labels in {', '.join(str(store.folder) for store in stores)}"
        raise InputError(got, "labelled images", "Name sources with classes.")
    return LabelledImages(tuple(stores), taxonomy, images, classes[images])


@dataclass(frozen=True, eq=False)
class NamedLayer:
    """What naming a layer's latents gives."""

    columns: pd.DataFrame
    """`node` ... `named` of the artifact's table."""
    numbers: dict[str, Any]
    """n_named, median_precision of the named, and the name score, all on the test images; `random` directions' too."""

    def onto(self, table: pd.DataFrame) -> pd.DataFrame:
        """An artifact's table with these columns, and with the labels that they allow."""
        whole = table.assign(**{name: self.columns[name].to_numpy() for name in self.columns})
        return whole.assign(label=labels(whole))


@dataclass(frozen=True, eq=False)
class Splits:
    """Images that choose, confirm and test names; no image is in two of them."""

    choice: LabelledImages
    confirm: LabelledImages
    test: LabelledImages

    @property
    def counts(self) -> dict[str, int]:
        """How many images each has."""
        return {name: len(getattr(self, name).labels) for name in ("choice", "confirm", "test")}


def split_images(choose: LabelledImages, test: LabelledImages, confirm_share: float, seed: int) -> Splits:
    """`confirm_share` of every class of the images in `choose` confirms, the others are the choice.

    InputError when no class has two images.
    """
    confirm = rows_apart(choose.labels.tolist(), confirm_share, seed)
    if not len(confirm):
        raise InputError(f"{len(choose.labels)} images that choose, each of another class", "several of a class")
    choice = np.setdiff1d(np.arange(len(choose.labels)), confirm)
    return Splits(choose.subset(choice), choose.subset(confirm), test)


def describe_names(
    rule: NameRule, confirm_share: float, splits: Splits, layers: Mapping[str, NamedLayer]
) -> dict[str, Any]:
    """What an artifact says of its names: the rule, the splits, and what the names of each layer are worth."""
    return {
        "rule": asdict(rule),
        "confirm_share": confirm_share,
        "n_images": splits.counts,
        "n_classes": len(splits.test.taxonomy.classes),
        "layers": {layer: named.numbers for layer, named in layers.items()},
    }


@torch.no_grad()
def name_layer(sae: SparseAutoencoder, layer: str, splits: Splits, rule: NameRule) -> NamedLayer:
    """Name the latents of a layer, and as many random directions of N(0, cov(x)), by the same rule.

    Latents that fire on no choice image have no name.
    """
    fires = splits.choice.scores(layer, sae.encode, sae.d_sae).scores.max(0) > 0
    columns, numbers = _named(_Scored(layer, sae.pre_activation, sae.d_sae), splits, rule, fires)
    directions = random_directions(splits.choice.tokens(layer), sae.d_sae, rule.seed)
    _, random = _named(_Scored(layer, lambda x: x @ directions.T, sae.d_sae), splits, rule)
    return NamedLayer(columns, numbers | {"random": random})


@dataclass(frozen=True, eq=False)
class _Scored:
    """What is named: `n` scores of the activations of a layer."""

    layer: str
    score: Score
    n: int

    def of(self, images: LabelledImages) -> LabelledScores:
        return images.scores(self.layer, self.score, self.n)


def _named(
    scored: _Scored, splits: Splits, rule: NameRule, fires: NDArray[np.bool_] | None = None
) -> tuple[pd.DataFrame, dict[str, Any]]:
    choice, confirm = scored.of(splits.choice), scored.of(splits.confirm)
    chosen = choose_names(splits.choice.taxonomy, choice, confirm, rule, fires)
    test = scored.of(splits.test)
    columns = name_columns(chosen, test)
    precision = columns.node_precision[columns.named == 1]
    median = None if precision.isna().all() else float(precision.median())
    numbers = {"n_named": int(chosen.named.sum()), "median_precision": median} | asdict(name_score(chosen, test))
    return columns, significant(numbers, 4)


def _columns(store: ActivationStore, taxonomy: Taxonomy) -> NDArray[np.int64]:
    """Every image's class as a column of the taxonomy, -1 for none."""
    column = np.array([*taxonomy.columns(store.classes), -1], dtype=np.int64)
    return column[store.labels.numpy()]
