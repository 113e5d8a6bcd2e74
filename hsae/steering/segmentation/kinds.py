"""Which class of a patch head a photograph belongs to, and the coarse classes of a head that needs no data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hsae.hierarchy import wordnet
from hsae.steering.segmentation.head import BACKGROUND

KINDS = (
    "n01503061",  # bird
    "n01861778",  # mammal
    "n00015388",  # any other animal
    "n07705711",  # produce: fruit and vegetables
    "n00017222",  # plant
    "n04524313",  # vehicle
    "n03800933",  # musical instrument
    "n09239740",  # celestial body
    "n00021939",  # any other artifact
)
"""WordNet nodes with enough starter photographs to learn each; a photograph is of the first that stands above it."""


def class_of(wnid: str | None, classes: Sequence[str]) -> int | None:
    """The place in `classes` of the first that is a WordNet id or stands above it; None for none of them.

    classes: of a patch head, so "background" may be among them.
    """
    above = wordnet().ancestors(wnid) if wnid is not None else frozenset()
    return next((at for at, name in enumerate(classes) if name != BACKGROUND and name in above), None)


def ranks(classes: Sequence[int | None]) -> np.ndarray:
    """How many of the same class come before each photograph, int `[n]`."""
    counts: dict[int | None, int] = {}
    before = np.zeros(len(classes), dtype=int)
    for at, label in enumerate(classes):
        before[at] = counts.get(label, 0)
        counts[label] = before[at] + 1
    return before


def held_out(classes: Sequence[int | None], every: int = 4) -> np.ndarray:
    """Whether a photograph is kept for evaluation, bool `[n]`: every fourth of each class, in the order given."""
    return ranks(classes) % every == every - 1
