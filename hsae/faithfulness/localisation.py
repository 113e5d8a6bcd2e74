"""Localisation: how much of a map lies on an object whose place is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsae.errors import InputError

HALF = 0.5  # a patch belongs to the object when at least half of it does


@dataclass(frozen=True)
class Localisation:
    """Scores of one map against one mask, each beside its chance level; all in [0, 1]."""

    pointing: float
    """1 when the strongest patch belongs to the object: the pointing game; between, when several are equally strong."""
    pointing_chance: float
    """Share of the patches that belong to the object."""
    energy: float
    """Share of the map's positive part that lies on the object."""
    energy_chance: float
    """Share of the image that the object covers."""


def localisation(values: np.ndarray, covered: np.ndarray) -> Localisation:
    """Scores of a map's `values` against how much of each patch an object covers, both of the same size.

    Zhang et al., ECCV 2016 (arXiv 1608.00507) for the pointing game; Wang et al., 2020 (arXiv 1910.01279) for energy.
    A map without positive part counts as one that is the same everywhere.
    """
    values, covered = np.ravel(values), np.ravel(covered)
    if values.shape != covered.shape:
        raise InputError(f"a map of {values.size} patches with a mask of {covered.size}", "as many")
    belongs = covered >= HALF
    strongest = values == values.max()
    positive = np.clip(values, 0, None)
    weights = positive if positive.any() else np.ones_like(positive)
    return Localisation(
        pointing=float(belongs[strongest].mean()),
        pointing_chance=float(belongs.mean()),
        energy=float((weights * covered).sum() / weights.sum()),
        energy_chance=float(covered.mean()),
    )
