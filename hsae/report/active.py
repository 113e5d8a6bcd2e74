"""The latents that are active in one image or whose name is said of it, as a table that may be shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsae.measures.wordnet.name_chances import chances
from hsae.report.shown_names import KEPT, as_shown, status


def active_table(
    latents: pd.DataFrame, values: NDArray[np.float32], highest: NDArray[np.float32], top: int
) -> pd.DataFrame:
    """The `top` strongest latents: latent, activation, strength (activation / p999), said, chance, and their shown row.

    latents: the artifact's table of the layer; values `[d_sae]` of the image and `highest` pre-activations `[d_sae]`.
    said: the name is kept, and the pre-activation reaches the threshold from which on it may be said of an image. That
    needs no activation: a latent that lost to stronger ones is silent and still speaks for its node. Such latents come
    last, with an activation of 0. chance: that the name is true of the image; NaN where it is not said or not known.
    """
    said = said_of(latents, highest)
    listed = np.flatnonzero((values > 0) | said)
    strongest = listed[np.argsort(-values[listed], kind="stable")][:top]
    table = as_shown(latents.iloc[strongest].reset_index(drop=True))
    likely = chances(highest.astype(float), _numbers(latents, "node_slope"), _numbers(latents, "node_offset"))
    table.insert(0, "latent", strongest)
    table.insert(1, "activation", values[strongest])
    table.insert(2, "strength", values[strongest] / table["p999"].where(table["p999"] > 0).to_numpy(float))
    table.insert(3, "said", said[strongest])
    table.insert(4, "chance", np.where(said, likely, np.nan)[strongest])
    return table


def said_of(latents: pd.DataFrame, highest: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether each latent's name is said of each image, by its highest pre-activation there: both `[..., d_sae]`."""
    kept = (status(latents) == KEPT).to_numpy()
    return kept & (highest >= _numbers(latents, "node_threshold"))


def _numbers(latents: pd.DataFrame, column: str) -> NDArray[np.float64]:
    """A column of the artifact's table `[d_sae]`; NaN where it has none."""
    return latents.reindex(columns=[column])[column].to_numpy(float)
