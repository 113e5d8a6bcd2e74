"""The latents that are active in one image, as a table that may be shown."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsae.report.shown_names import KEPT, as_shown, status


def active_table(
    latents: pd.DataFrame, values: NDArray[np.float32], highest: NDArray[np.float32], top: int
) -> pd.DataFrame:
    """The `top` strongest latents: latent, activation, strength (activation / p999), said, and their shown row.

    latents: the artifact's table of the layer; values `[d_sae]` of the image and `highest` pre-activations `[d_sae]`.
    said: the name is kept, and the pre-activation reaches the threshold from which on it may be said of an image.
    """
    active = np.flatnonzero(values > 0)
    strongest = active[np.argsort(-values[active], kind="stable")][:top]
    table = as_shown(latents.iloc[strongest].reset_index(drop=True))
    above = highest[strongest] >= table["node_threshold"].to_numpy(float)
    table.insert(0, "latent", strongest)
    table.insert(1, "activation", values[strongest])
    table.insert(2, "strength", values[strongest] / table["p999"].where(table["p999"] > 0).to_numpy(float))
    table.insert(3, "said", above & (status(table) == KEPT).to_numpy())
    return table
