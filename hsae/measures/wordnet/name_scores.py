"""What names tell a visitor: is a name said of a photograph, is the first one true, and how many bits is that worth?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hsae.errors import InputError
from hsae.measures.wordnet.names import ChosenNames
from hsae.measures.wordnet.nodes import LabelledScores

AT_ONCE = 5
"""Names that are read together."""
FALSE = -1.0
"""Stands for the bits of a name that is not true: a true one may be worth 0."""
_IMAGES = 1024  # scored at once


@dataclass(frozen=True)
class NameScore:
    """Means over images; a name is worth log2(1 / pi) bits when it is true, pi its node's share of these images."""

    n_images: int
    said: float
    """Share of the images of which any name is said: a named latent reaches its threshold."""
    first_true: float
    """Share of the images whose first name is true."""
    first_bits: float
    """Bits of the first name, 0 where it is false or there is none."""
    best_bits: float
    """Bits of the best true one of the first five names."""


def name_score(chosen: ChosenNames, test: LabelledScores) -> NameScore:
    """Score the names on images that chose none; names come in the order of what they are expected to tell (`worth`).

    InputError without images.
    """
    if not len(test.labels):
        raise InputError("no image to score names on", "one or more")
    named = np.flatnonzero(chosen.named)
    named = named[np.argsort(-chosen.worth[named], kind="stable")]
    under = chosen.taxonomy.members[chosen.node[named]]
    share = test.under(under) / len(test.labels)
    bits = np.log2(1 / np.where(share > 0, share, 1))
    parts = []
    for start in range(0, len(test.labels), _IMAGES):
        images = slice(start, start + _IMAGES)
        said = test.scores[images, named] >= chosen.threshold[named]
        parts.append(_told(said, np.where(under[:, test.labels[images]].T, bits, FALSE)))
    any_said, first, best = np.concatenate(parts, axis=1)
    means = (any_said, first != FALSE, np.maximum(first, 0), np.maximum(best, 0))
    return NameScore(len(test.labels), *(float(values.mean()) for values in means))


def _told(said: NDArray[np.bool_], bits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Whether any name is said, bits of the first, and of the best of five: `[3, n_images]` from `[n_images, n]`."""
    number = said.cumsum(axis=1)
    first, five = (np.where(said & (number <= n), bits, FALSE).max(axis=1, initial=FALSE) for n in (1, AT_ONCE))
    return np.stack([said.any(axis=1), first, five])
