"""One row a latent: everything a layer's latents.parquet says about the SAE's latents."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hsae.hierarchy import wordnet
from hsae.measures.activity import LatentActivity
from hsae.measures.entropy import class_mass, entropy
from hsae.report.hierarchy import LabelledLatents, hierarchy_columns

SILENT, UNASSIGNED = "silent", "unassigned"
"""Labels of latents without a node: they never fire, or nothing in WordNet fits them."""


def layer_table(activity: LatentActivity, data: LabelledLatents | None, tau: float = 0.5) -> pd.DataFrame:
    """Activity over all held-out tokens, label entropy and hierarchy over the labelled images, of every latent.

    data: None where no image has a label; then there is activity only.
    """
    table = pd.DataFrame(
        {
            "frequency": activity.frequency,
            "mean": activity.mean,
            "max": activity.max,
            "p999": activity.p999,
            "dead": activity.dead,
        }
    )
    if data is None:
        return table.assign(label=np.where(activity.dead, SILENT, UNASSIGNED))
    table["label_entropy"] = entropy(class_mass(data.z, data.labels, len(data.taxonomy.classes)))
    table = pd.concat([table, hierarchy_columns(data, tau)], axis=1)
    table["label"] = [_label(row) for row in table.itertuples()]
    return table


def _label(row: Any) -> str:
    """Words for a latent: its best WordNet node, or that it has none."""
    if row.dead:
        return SILENT
    return wordnet().name(row.best_node) if row.best_node is not None else UNASSIGNED
