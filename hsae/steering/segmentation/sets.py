"""The pictures a patch head is trained, chosen for and scored on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from hsae.backbones.base import Backbone
from hsae.data.joined import join_samples
from hsae.data.samples import Samples, load_samples
from hsae.faithfulness.backgrounds import natural_backgrounds
from hsae.faithfulness.scenes import blur_photo
from hsae.steering.segmentation.composites import Composites
from hsae.steering.segmentation.head import BACKGROUND
from hsae.steering.segmentation.kinds import KINDS, class_of, held_out, ranks
from hsae.steering.segmentation.observed import Observed, observe, observe_photographs

BACKGROUNDS = 80
"""How many natural backgrounds are looked for."""
CHOICE = 3
"""Photographs of each class that say which features carry it."""

Pictures = Callable[[], Iterator[Observed]]
"""Pictures that are made anew whenever they are asked for: all of them would not fit in memory."""


@dataclass(frozen=True, eq=False)
class Sets:
    """Pictures by what they are for; none of `tests` shows a photograph that is in `train` or `choice`."""

    classes: tuple[str, ...]
    train: Pictures
    choice: Pictures
    tests: dict[str, Pictures]


@dataclass(frozen=True)
class Amounts:
    """How many pictures there are."""

    copies: int = 6
    """Composites of each cut-out to train on; half as many to test on."""
    pairs: int = 60
    """Composites of two cut-outs."""
    per_class: int = 20
    """Photographs of each class to train on, at most."""
    test: int = 4
    """Photographs of each class to test on, at most."""
    seed: int = 0


def starter_sets(backbone: Backbone, layers: Sequence[str], amounts: Amounts) -> Sets:
    """Coarse kinds, from the starter's cut-outs on others' blurred colours: every fourth of each kind is for tests."""
    side = backbone.preprocessing.image_size
    backgrounds = [blur_photo(sample.image, side) for sample in load_samples("starter:cutouts")]
    learn, test = starter_composites(backgrounds, backgrounds, amounts.seed)
    choice = replace(learn, seed=amounts.seed + 1)
    return Sets(
        tuple(learn.classes),
        train=lambda: observe(backbone, learn.alone(amounts.copies), layers),
        choice=lambda: observe(backbone, choice.alone(1), layers),
        tests=_exact(backbone, test, layers, amounts),
    )


def starter_composites(
    learn: Sequence[Image.Image], test: Sequence[Image.Image], seed: int = 0
) -> tuple[Composites, Composites]:
    """The starter's cut-outs of coarse kinds to learn from, and every fourth of each kind to test on.

    learn, test: the backgrounds of either.
    """
    samples, classes = load_samples("starter:cutouts"), (BACKGROUND, *KINDS)
    kept = held_out(_classes(samples, classes))
    return (
        Composites(samples.subset(np.flatnonzero(~kept)), classes, learn, seed),
        Composites(samples.subset(np.flatnonzero(kept)), classes, test, seed + 2),
    )


def photograph_sets(backbone: Backbone, layers: Sequence[str], sources: Sequence[str], amounts: Amounts) -> Sets:
    """The classes of labelled photographs (splits "train" and "validation" of each source), by their foregrounds.

    Exact masks are for tests alone: the starter's cut-outs of these classes on natural backgrounds, which are parts of
    training photographs without their foregrounds.
    """
    train, test = (join_samples([load_samples(source, split=split) for source in sources]) for split in _SPLITS)
    classes = (BACKGROUND, *train.classes)

    def photographs(samples: Samples, first: int, last: int) -> Iterator[Observed]:
        rank = ranks(_classes(samples, classes))
        rows = samples.subset(np.flatnonzero((rank >= first) & (rank < last)))
        return observe_photographs(backbone, rows, classes, layers)

    def choice() -> Iterator[Observed]:
        return photographs(train, 0, CHOICE)

    backgrounds = natural_backgrounds((sample.image for sample in train), backbone, BACKGROUNDS)
    cut_outs = Composites(load_samples("starter:cutouts"), classes, backgrounds, amounts.seed)
    return Sets(
        classes,
        train=lambda: photographs(train, CHOICE, CHOICE + amounts.per_class),
        choice=choice,
        tests={
            "photographs": lambda: photographs(test, 0, amounts.test),
            **_exact(backbone, cut_outs, layers, amounts),
        },
    )


_SPLITS = ("train", "validation")


def _exact(backbone: Backbone, cut_outs: Composites, layers: Sequence[str], amounts: Amounts) -> dict[str, Pictures]:
    """Composites whose masks are exact, to test on."""
    return {
        "one_object": lambda: observe(backbone, cut_outs.alone(max(1, amounts.copies // 2)), layers),
        "two_objects": lambda: observe(backbone, cut_outs.beside(amounts.pairs), layers),
    }


def _classes(samples: Samples, classes: Sequence[str]) -> list[int | None]:
    """The class of every photograph, as a place in `classes`."""
    return [class_of(None if label is None else samples.classes[label], classes) for label in samples.labels]
