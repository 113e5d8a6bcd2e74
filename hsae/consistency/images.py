"""The images that all models are measured on: a sample of one or several data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsae.data.joined import join_samples
from hsae.data.samples import Samples, load_samples
from hsae.errors import InputError
from hsae.measures.splits import rows_apart


@dataclass(frozen=True)
class ImageSample:
    """Which images, and how many."""

    sources: tuple[str, ...]
    split: str | None = None
    test_split: str | None = None
    """Where there is none, a share of every class of `split` tests."""
    label_map: str | None = None
    n_classes: int = 100
    """Random but the same every time, of those of both splits: a node needs several images to be measured at all."""
    n_images: int = 3000
    """Of each split at most so many, as many of every class as there are and as fit."""
    share: float = 0.3
    """Of every class of the images that do not test: those that choose and confirm; and of `split`, those that test."""

    def load(self) -> dict[str, Samples]:
        """Images by name of their store, train, choice and heldout; InputError where there are none of any class."""
        seen = self._joined(self.split)
        apart = None if self.test_split is None else self._joined(self.test_split)
        present = sorted(_present(seen) if apart is None else _present(seen) & _present(apart))
        if not present:
            raise InputError(f"no class with images in both splits of {seen.name}", "labelled images in each")
        classes = np.random.default_rng(0).permutation(present)[: self.n_classes].tolist()
        seen = _sampled(seen, classes, self.n_images)
        rest, heldout = (seen, _sampled(apart, classes, self.n_images)) if apart else _parted(seen, self.share)
        train, choice = _parted(rest, self.share)
        return {"train": train, "choice": choice, "heldout": heldout}

    def _joined(self, split: str | None) -> Samples:
        return join_samples([load_samples(each, split=split, label_map=self.label_map) for each in self.sources])


def _parted(samples: Samples, share: float) -> tuple[Samples, Samples]:
    """All but a share of every class, and the share."""
    apart = rows_apart(samples.labels, share)
    return samples.subset(np.setdiff1d(np.arange(len(samples)), apart)), samples.subset(apart)


def _present(samples: Samples) -> set[str]:
    """Classes that have images."""
    return {samples.classes[label] for label in samples.labels if label is not None}


def _sampled(samples: Samples, classes: Sequence[str], n: int) -> Samples:
    """At most n images of some classes, which are all that they know."""
    own = samples.relabelled({wnid: wnid if wnid in classes else None for wnid in samples.classes})
    return own.subset(balanced_rows(own.labels, n))


def balanced_rows(labels: Sequence[int | None], n: int, seed: int = 0) -> NDArray[np.int64]:
    """At most `n` labelled rows, rising: random, the same every time, and as evenly over the classes as they allow."""
    classes = np.array([-1 if label is None else label for label in labels])
    order = np.random.default_rng(seed).permutation(np.flatnonzero(classes >= 0))
    ranks = np.empty(len(order), dtype=np.int64)
    for each in np.unique(classes[order]):
        here = classes[order] == each
        ranks[here] = np.arange(here.sum())
    return np.sort(order[np.argsort(ranks, kind="stable")][:n])
