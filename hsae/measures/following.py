"""What a feature follows: what must change in a picture for the feature to be lost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

APPEARANCE = {"colour": ("colour", "grey"), "texture": ("blur",), "place": ("place",), "pose": ("pose",)}
"""Kinds of features by the changes that take them away, each of which leaves object and background what they are."""
KINDS = (*APPEARANCE, "object", "background", "scene", "several", "none")
LOST = 0.5
"""A feature is lost in a change that it survives by less than this."""
FEWEST = 5
"""Pictures on which a feature must fire to be judged."""
ALIKE = 0.8
"""A feature that is kept by this or more from one picture to another is everywhere the same, and follows nothing."""


def kept(z: np.ndarray, changed: np.ndarray) -> np.ndarray:
    """How much of each feature a change leaves, in [0, 1]: sum min(z, z') / sum max(z, z') over the pictures.

    z, changed `[pictures, d_sae]`, >= 0, of the same pictures before and after; NaN for a feature silent in both.
    The similarity of Ruzicka (1958).
    """
    with np.errstate(invalid="ignore"):
        return np.minimum(z, changed).sum(0) / np.maximum(z, changed).sum(0)


def survival(base: np.ndarray, changed: Mapping[str, np.ndarray]) -> pd.DataFrame:
    """What each change leaves of each feature, as a share of what another picture would take: a row per feature.

    (kept - chance) / (1 - chance), 1 where nothing is lost and 0 where as much is lost as between any two pictures;
    chance: `kept` between each picture and the next. base `[pictures, d_sae]`, changed `{change: [pictures, d_sae]}`.
    NaN for features that fire on fewer than 5 pictures, or are much the same on all of them.
    """
    chance = kept(base, np.roll(base, 1, axis=0))
    judged = ((base > 0).sum(0) >= FEWEST) & (chance < ALIKE)
    chance = np.where(judged, chance, np.nan)
    return pd.DataFrame({change: (kept(base, z) - chance) / (1 - chance) for change, z in changed.items()})


def kinds(survival: pd.DataFrame) -> pd.Series:
    """The kind of each feature, one of `KINDS`; missing for one that was not judged.

    colour, texture, place, pose: lost in that change of appearance and in no other; several: in more than one. What
    survives all of them is of the object when it is lost with the object and not with the background; background: the
    other way round; scene: lost with either; none: with neither.
    """
    lost = survival < LOST
    appearance = pd.DataFrame({kind: lost[list(changes)].any(axis=1) for kind, changes in APPEARANCE.items()})
    content = lost["object"].map({True: "object", False: "none"})
    content = content.mask(lost["background"], lost["object"].map({True: "scene", False: "background"}))
    n_lost = appearance.sum(axis=1)
    kind = content.mask(n_lost == 1, appearance.idxmax(axis=1)).mask(n_lost > 1, "several")
    return kind.where(survival.notna().all(axis=1))


def kind_shares(survival: pd.DataFrame) -> dict[str, float]:
    """How many features were judged (`features`), and the share of them of each kind, in [0, 1]; NaN for none."""
    judged = kinds(survival).dropna()
    shares = judged.value_counts(normalize=True) if len(judged) else pd.Series(dtype=float)
    return {"features": len(judged), **{kind: float(shares.get(kind, 0 if len(judged) else np.nan)) for kind in KINDS}}
