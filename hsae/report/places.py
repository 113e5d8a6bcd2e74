"""What a latent of patches is by where it fires: an artefact of places, of an object, of the background."""

from __future__ import annotations

import numpy as np
import pandas as pd

AT_ONE_PLACE = 0.1
"""Share of its variance that the place explains, from which on a latent is an artefact of places."""
AT_HIGH_NORM = 0.5
"""Share of its activation at patches of high norm, from which on it is an artefact of those."""
ON_OBJECT = 0.7
"""Share of the patches on which it fires that belong to pasted objects, from which on it is one of objects."""
OFF_OBJECT = 0.25
"""The same as a multiple of chance, up to which it is one of backgrounds."""
ARTEFACTS = ("one place", "high norm")
KINDS = (*ARTEFACTS, "object", "background")


def place_kinds(table: pd.DataFrame, chance: float) -> pd.Series:
    """One of KINDS for each latent, None for none of them; what is an artefact is nothing else.

    table: with place_variance, high_norm_share and object_precision; chance: the share of patches inside the masks.
    """
    tests = (
        table["place_variance"] >= AT_ONE_PLACE,
        table["high_norm_share"] >= AT_HIGH_NORM,
        table["object_precision"] >= ON_OBJECT,
        table["object_precision"] <= OFF_OBJECT * chance,
    )
    return pd.Series(np.select(tests, KINDS, ""), index=table.index, dtype=object).replace({"": None})
