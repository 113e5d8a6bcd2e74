"""Coarse kinds of things: WordNet nodes with enough starter photographs to learn each of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hsae.hierarchy import wordnet

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
"""A photograph is of the first of these that stands above its class."""


def kind_of(wnid: str | None) -> str | None:
    """The kind a WordNet id belongs to; None for none of them."""
    above = wordnet().ancestors(wnid) if wnid is not None else frozenset()
    return next((kind for kind in KINDS if kind in above), None)


def held_out(kinds: Sequence[str | None], every: int = 4) -> np.ndarray:
    """Whether a photograph is kept for evaluation, bool `[n]`: every fourth of each kind, in the order given."""
    counts: dict[str | None, int] = {}
    kept = np.zeros(len(kinds), dtype=bool)
    for at, kind in enumerate(kinds):
        counts[kind] = counts.get(kind, 0) + 1
        kept[at] = counts[kind] % every == 0
    return kept
