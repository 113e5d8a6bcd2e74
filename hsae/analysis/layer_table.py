"""One row a latent: everything a layer's latents.parquet says about the SAE's latents."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.analysis.entropy import class_mass, entropy
from hsae.analysis.sparsity import LatentActivity
from hsae.hierarchy import Taxonomy, firing_rates, latent_hierarchy, select_classes, wordnet


def layer_table(
    activity: LatentActivity, z: csr_array, labels: NDArray[np.int64], taxonomy: Taxonomy, tau: float = 0.5
) -> pd.DataFrame:
    """Activity and hierarchy of every latent, from held-out latents `z [n_images, d_sae]`.

    labels `[n_images]`: index into `taxonomy.classes`, -1 for images without one (they count for the activity only).
    """
    known = labels >= 0
    table = pd.DataFrame(
        {
            "frequency": activity.frequency,
            "mean": activity.mean,
            "max": activity.max,
            "p999": activity.p999,
            "dead": activity.dead,
            "label_entropy": entropy(class_mass(z, labels, len(taxonomy.classes))),
        }
    )
    table = pd.concat([table, _hierarchy(z[known], labels[known], taxonomy, tau)], axis=1)
    table["label"] = [_label(row) for row in table.itertuples()]
    return table


def _hierarchy(z: csr_array, labels: NDArray[np.int64], taxonomy: Taxonomy, tau: float) -> pd.DataFrame:
    rates = firing_rates(z, labels, len(taxonomy.classes))
    found = latent_hierarchy(taxonomy, select_classes(rates, tau))
    return found[["n_classes", "lch", "lch_height", "coverage", "best_node", "best_node_f1"]]


def _label(row: tuple) -> str:
    """Words for a latent: its best WordNet node, or that it has none."""
    if row.dead:
        return "silent"
    return wordnet().name(row.best_node) if row.best_node is not None else "unassigned"
