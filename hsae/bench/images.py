"""What a benchmark is run on: stored activations of a run, of images that train, choose, confirm and test."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.activations.store import ActivationStore
from hsae.errors import InputError, StoreError
from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import LabelledScores
from hsae.measures.wordnet.scoreboard import choosable_nodes
from hsae.report.names import Score, Splits, labelled_images, split_images

CONFIRM_SHARE = 0.25
"""Of every class of the images set apart to choose."""
ALL = "all"
"""The part of the test images that is all of them."""


@dataclass(frozen=True, eq=False)
class BenchImages:
    """The images of a run; the test images may come in parts, such as blurred and sharp ones."""

    train: ActivationStore
    splits: Splits
    parts: Mapping[str, NDArray[np.int64]]
    """Which of the test images are in each part: rows of their labels, rising; ALL comes first."""

    @property
    def taxonomy(self) -> Taxonomy:
        return self.splits.choice.taxonomy

    @property
    def content(self) -> dict[str, Any]:
        """What the images are, as plain JSON."""
        stores = (self.train, *self.splits.choice.stores, *self.splits.test.stores)
        return {
            "backbone": self.train.manifest.backbone,
            "token": self.train.manifest.token,
            "images": [store.manifest.dataset.get("images", store.manifest.dataset["fingerprint"]) for store in stores],
            "n_images": {"train": len(self.train)} | self.splits.counts,
            "parts": {name: len(rows) for name, rows in self.parts.items()},
        }


def open_images(run: Path, parts: Mapping[str, int]) -> BenchImages:
    """The activations in RUN/activations/{train,choice,heldout}; parts: how many held-out rows each has, in order.

    InputError for parts that are not all rows, StoreError for a run that set no images apart to choose on.
    """
    folder = run / "activations"
    if not (folder / "choice").is_dir():
        raise StoreError(f"{folder} has no choice", "images set apart", "Extract again with --choice_share 0.2.")
    train, choice, heldout = (ActivationStore(folder / name) for name in ("train", "choice", "heldout"))
    taxonomy = Taxonomy(sorted({*train.classes, *choice.classes, *heldout.classes}))
    chosen, test = (labelled_images([store], taxonomy) for store in (choice, heldout))
    splits = split_images(chosen, test, CONFIRM_SHARE, seed=0)
    return BenchImages(train, splits, _parts(heldout, test.images, parts))


def open_random(run: Path, images: BenchImages, parts: Mapping[str, int]) -> BenchImages:
    """The same images as another backbone sees them, such as one with random weights; InputError for other images."""
    found = open_images(run, parts)
    if found.content["images"] != images.content["images"] or found.taxonomy.classes != images.taxonomy.classes:
        raise InputError(f"{run}, a run on other images or classes", "the same images, split alike")
    return found


def _parts(
    heldout: ActivationStore, images: NDArray[np.int64], sizes: Mapping[str, int]
) -> dict[str, NDArray[np.int64]]:
    """Test images by part, from the rows that they have in the data set."""
    ends = np.cumsum([0, *sizes.values()])
    if sizes and ends[-1] != heldout.manifest.n_rows:
        got = f"parts of {', '.join(map(str, sizes.values()))} rows"
        raise InputError(got, f"a sum of {heldout.manifest.n_rows}, the rows of the held-out images")
    rows = heldout.rows.numpy()[images]
    part = np.searchsorted(ends, rows, side="right") - 1
    return {ALL: np.arange(len(images))} | {name: np.flatnonzero(part == i) for i, name in enumerate(sizes)}


class BenchLayer:
    """One layer of the images; what several contestants need is computed once."""

    def __init__(self, images: BenchImages, name: str) -> None:
        self.images, self.name, self.taxonomy = images, name, images.taxonomy

    @cached_property
    def x(self) -> Tensor:
        """Training activations, `[n_tokens, d_in]`."""
        return self.images.train.layer(self.name).flatten(0, 1)

    @cached_property
    def labels(self) -> Tensor:
        """Columns of the taxonomy of the training activations, -1 for none, `[n_tokens]`."""
        store = self.images.train
        column = torch.tensor([*self.taxonomy.columns(store.classes), -1])
        each = torch.cat([torch.full((images,), tokens) for images, tokens in store.shard_shapes])
        return column[store.labels].repeat_interleave(each)

    @cached_property
    def nodes(self) -> NDArray[np.int64]:
        """Positions of the nodes that are scored: those that the choice images can choose latents for."""
        return choosable_nodes(self.taxonomy, self.images.splits.choice.labels)

    @cached_property
    def test(self) -> Tensor:
        """Test activations, `[n_images, tokens, d_in]`."""
        return self.images.splits.test.activations(self.name)

    @cached_property
    def test_labels(self) -> Tensor:
        """Columns of the taxonomy, `[n_images]`."""
        return torch.from_numpy(self.images.splits.test.labels)

    def scores(self, score: Score, n: int) -> tuple[LabelledScores, LabelledScores, LabelledScores]:
        """Those of the choice, confirm and test images."""
        splits = self.images.splits
        choice, confirm, test = (
            part.scores(self.name, score, n) for part in (splits.choice, splits.confirm, splits.test)
        )
        return choice, confirm, test
