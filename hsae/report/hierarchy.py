"""A layer's latents against WordNet on the held-out images: the table's columns, and the layer's summary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.hierarchy import Taxonomy, best_node_rows, lch_q_rows, lch_rows
from hsae.hierarchy.lch import at_nodes
from hsae.measures.entropy import class_mass
from hsae.measures.plain import mean, median
from hsae.measures.splits import halves
from hsae.measures.top_images import top_images
from hsae.measures.wordnet import (
    FiringRates,
    firing_rates,
    label_permutation_test,
    latent_hierarchy,
    layer_permutation_test,
    select_by_mean,
    select_by_top_images,
    select_classes,
    weighted_coverage_rows,
    wnids,
)
from hsae.report.parts import Numbers

SIGNIFICANT = 0.05
TAUS = (0.25, 0.5, 0.75)
Q = 0.9


@dataclass(frozen=True, eq=False)
class LabelledLatents:
    """Latents of labelled images: z `[n_images, d_sae]`, labels `[n_images]` >= 0."""

    z: csr_array
    labels: NDArray[np.int64]
    taxonomy: Taxonomy

    def rates(self, images: NDArray[np.bool_] | slice = slice(None)) -> FiringRates:
        """Firing rates over some of the images; NaN for a class with none of them."""
        z, labels, n_classes = self.z[images], self.labels[images], len(self.taxonomy.classes)
        if not len(labels):
            return FiringRates(np.zeros((z.shape[1], n_classes), int), np.zeros(n_classes, int))
        return firing_rates(z, labels, n_classes)

    def means(self) -> NDArray[np.float64]:
        """Mean activation by class `[d_sae, n_classes]`; NaN for a class without images."""
        count = np.bincount(self.labels, minlength=len(self.taxonomy.classes))
        return class_mass(self.z, self.labels, len(count)) / np.where(count > 0, count, np.nan)


def hierarchy_columns(data: LabelledLatents, tau: float = 0.5) -> pd.DataFrame:
    """n_classes, lch, lch_height, coverage, p_value, q_value from all images; best_node from one half of them.

    best_node is chosen by F1 of its classes against those selected on the first half; best_node_f1 is that F1 on the
    second half, 0 when no class is selected there.
    """
    selected = select_classes(data.rates(), tau)
    table = latent_hierarchy(data.taxonomy, selected)[["n_classes", "lch", "lch_height", "coverage"]]
    test = label_permutation_test(data.taxonomy, selected)[["p_value", "q_value"]]
    position, f1 = best_nodes(data, tau)
    return pd.concat([table, test], axis=1).assign(best_node=wnids(data.taxonomy, position), best_node_f1=f1)


def best_nodes(data: LabelledLatents, tau: float = 0.5) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Node of each latent chosen on the first half of the images (MISSING without one), and its F1 on the second."""
    first = halves(data.labels)
    chosen, scored = (select_classes(data.rates(images), tau) for images in (first, ~first))
    position, _ = best_node_rows(data.taxonomy, chosen)
    under = data.taxonomy.members[position]
    shared = (under & scored).sum(axis=1)
    return position, at_nodes(2 * shared / (under.sum(axis=1) + scored.sum(axis=1)), position)


def layer_summary(data: LabelledLatents, tau: float = 0.5) -> dict[str, Any]:
    """Counts and means over the layer at `tau`, its null, and the same counts under the other rules."""
    selected = select_classes(data.rates(), tau)
    return {
        **selection_summary(data.taxonomy, selected),
        **_null_band(data.taxonomy, selected),
        **_weighted_numbers(data, selected),
        "rules": rule_summaries(data),
    }


def rule_summaries(data: LabelledLatents) -> dict[str, Numbers]:
    """selection_summary under every rule of choosing classes, by the rule's name."""
    rates, top = data.rates(), top_images(data.z, 16)
    rules = {f"tau {tau}": select_classes(rates, tau) for tau in TAUS}
    rules["relative mean 0.5"] = select_by_mean(data.means())
    rules["top 16 images"] = select_by_top_images(top.images, data.labels, len(data.taxonomy.classes))
    return {name: selection_summary(data.taxonomy, rule) for name, rule in rules.items()}


def selection_summary(taxonomy: Taxonomy, selected: NDArray[np.bool_]) -> Numbers:
    """Latents with no, one and several classes; medians, means and significance over the last kind."""
    k, lch = selected.sum(axis=1), lch_rows(taxonomy, selected)
    multi = k > 1
    coverage, heights = k[multi] / taxonomy.leaf_counts[lch[multi]], taxonomy.heights[lch[multi]]
    test = label_permutation_test(taxonomy, selected)[multi]
    return {
        "n_unassigned": int((k == 0).sum()),
        "n_single_class": int((k == 1).sum()),
        "n_multi_class": int(multi.sum()),
        "n_significant": int((test.q_value < SIGNIFICANT).sum()),
        "share_significant": mean((test.q_value < SIGNIFICANT).to_numpy()),
        "median_height": median(heights.astype(float)),
        "mean_height": mean(heights),
        "median_coverage": median(coverage),
        "mean_coverage": mean(coverage),
        "mean_lower_height": mean(test.lower_height.to_numpy()),
        "mean_log2_coverage": mean(test.log2_coverage.to_numpy()),
        "median_log2_coverage": median(test.log2_coverage.to_numpy()),
    }


def _null_band(taxonomy: Taxonomy, selected: NDArray[np.bool_]) -> Numbers:
    """Mean coverage and height of the same layer under shuffled synsets, with 95 % bands."""
    null = layer_permutation_test(taxonomy, selected)
    if null is None:
        return {}
    numbers: Numbers = {"layer_p_value": null.p_value}
    for name, values in {"mean_coverage": null.random_coverage, "mean_height": null.random_height}.items():
        low, high = np.quantile(values, [0.025, 0.975])
        numbers |= {
            f"null_{name}": float(values.mean()),
            f"null_{name}_low": float(low),
            f"null_{name}_high": float(high),
        }
    return numbers


def _weighted_numbers(data: LabelledLatents, selected: NDArray[np.bool_]) -> Numbers:
    """Over the multi-class latents: coverage weighted by firing rate, and the height where 90 % of the rate meets."""
    multi = selected.sum(axis=1) > 1
    rates = data.rates().rates[multi]
    robust = lch_q_rows(data.taxonomy, np.nan_to_num(rates), Q)
    weighted = weighted_coverage_rows(data.taxonomy, rates, lch_rows(data.taxonomy, selected[multi]))
    return {
        "mean_weighted_coverage": mean(weighted),
        "median_height_q": median(data.taxonomy.heights[robust].astype(float)),
    }
