"""One row a latent: everything a layer's latents.parquet says about the SAE's latents."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.analysis.sparsity import latent_activity
from hsae.hierarchy import Taxonomy, firing_rates, latent_hierarchy, select_classes, wordnet


def layer_table(z: csr_array, labels: NDArray[np.int64], taxonomy: Taxonomy, tau: float = 0.5) -> pd.DataFrame:
    """Activity and hierarchy of every latent, from held-out latents `z [n_images, d_sae]`.

    labels `[n_images]`: index into `taxonomy.classes`, -1 for images without one (they count for the activity only).
    """
    known = labels >= 0
    activity = latent_activity(z)
    hierarchy = _hierarchy(z[known], labels[known], taxonomy, tau)
    table = pd.DataFrame(
        {
            "frequency": activity.frequency,
            "mean": activity.mean,
            "max": activity.max,
            "p999": activity.p999,
            "dead": activity.dead,
            "label_entropy": label_entropy(z[known], labels[known], len(taxonomy.classes)),
        }
    )
    table = pd.concat([table, hierarchy], axis=1)
    table["label"] = [_label(row) for row in table.itertuples()]
    return table


def label_entropy(z: csr_array, labels: NDArray[np.int64], n_classes: int) -> NDArray[np.float64]:
    """H = -sum_c p(c) ln p(c) in nats, p(c) = share of the latent's total activation on images of class c.

    z `[n_images, d_sae]`, labels `[n_images]` >= 0; result `[d_sae]` in [0, ln n_classes], NaN for a dead latent.
    """
    one_hot = csr_array((np.ones(len(labels)), (np.arange(len(labels)), labels)), shape=(len(labels), n_classes))
    mass = (z.T @ one_hot).toarray()
    total = mass.sum(1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = mass / total
        terms = np.where(p > 0, p * np.log(p), 0.0)
    return np.where(total[:, 0] > 0, -terms.sum(1), np.nan) + 0.0


def _hierarchy(z: csr_array, labels: NDArray[np.int64], taxonomy: Taxonomy, tau: float) -> pd.DataFrame:
    rates = firing_rates(z, labels, len(taxonomy.classes))
    found = latent_hierarchy(taxonomy, select_classes(rates, tau))
    return found[["n_classes", "lch", "lch_height", "coverage", "best_node", "best_node_f1"]]


def _label(row: tuple) -> str:
    """Words for a latent: its best WordNet node, or that it has none."""
    if row.dead:
        return "silent"
    return wordnet().name(row.best_node) if row.best_node is not None else "unassigned"
