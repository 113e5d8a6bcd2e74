"""Further tests of a layer's latents against WordNet, each with a null: as columns and as numbers of the layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsae.hierarchy import MISSING, Taxonomy, distinct_nodes
from hsae.hierarchy.lch import at_nodes
from hsae.measures.average_precision import average_precision, average_precision_at
from hsae.measures.plain import median
from hsae.measures.splits import halves
from hsae.measures.wordnet import (
    UNKNOWN,
    LayerNull,
    likeness_permutation_test,
    select_classes,
    weighted_fit,
    weighted_permutation_test,
    wnids,
)
from hsae.report.hierarchy import SIGNIFICANT, LabelledLatents, Q
from hsae.report.parts import Columns, Numbers

PERMUTATIONS = 300
SHUFFLES = 1000


def weighted_parts(data: LabelledLatents) -> tuple[Columns, dict[str, Any]]:
    """Firing rates instead of sets: LCH_q with its coverage, and the F1 of the best node, each against shuffled rates.

    The numbers are those of all latents that fire, as no class has to be chosen.
    """
    rates = data.rates().rates
    fit = weighted_fit(data.taxonomy, rates, Q)
    test = weighted_permutation_test(data.taxonomy, rates, Q, PERMUTATIONS)
    columns = {
        "rate_lch": wnids(data.taxonomy, fit.lch_q),
        "rate_coverage": fit.coverage,
        "rate_coverage_p_value": test.p_coverage.to_numpy(),
        "rate_coverage_q_value": test.q_coverage.to_numpy(),
        "rate_f1": fit.f1,
        "rate_f1_p_value": test.p_f1.to_numpy(),
        "rate_f1_q_value": test.q_f1.to_numpy(),
    }
    numbers = {
        "coverage": _count_significant(test.p_coverage, test.q_coverage) | {"median": median(fit.coverage)},
        "f1": _count_significant(test.p_f1, test.q_f1) | {"median": median(fit.f1)},
    }
    return columns, {"rate_nulls": numbers}


def precision_parts(data: LabelledLatents) -> tuple[Columns, dict[str, Any]]:
    """Node that a latent's strength ranks best on one half of the images, and its average precision on the other.

    Chosen by the gain (AP - share) / (1 - share) over chance, the node's share of the images: AP itself is 1 for the
    root. Only nodes that leave some images out are candidates.
    """
    taxonomy, first = data.taxonomy, halves(data.labels)
    nodes = distinct_nodes(taxonomy)
    share = _shares(taxonomy, data.labels[first])[nodes]
    nodes, share = nodes[(share > 0) & (share < 1)], share[(share > 0) & (share < 1)]
    position = np.full(data.z.shape[1], MISSING)
    if len(nodes):
        precisions = average_precision(data.z[first], data.labels[first], taxonomy.members[nodes])
        best = ((precisions - share) / (1 - share)).argmax(axis=1)
        fires = np.diff(data.z[first].tocsc().indptr) > 0
        position = np.where(fires, nodes[best], MISSING)
    precision = at_nodes(
        average_precision_at(data.z[~first], data.labels[~first], taxonomy.members[position]), position
    )
    chance = at_nodes(_shares(taxonomy, data.labels[~first])[position], position)
    with np.errstate(invalid="ignore"):
        gain = (precision - chance) / np.where(chance < 1, 1 - chance, np.nan)
    numbers = {"median": median(precision), "median_chance": median(chance), "median_gain": median(gain)}
    return {"ap_node": wnids(taxonomy, position), "ap": precision}, {"average_precision": numbers}


def likeness_parts(
    data: LabelledLatents, groups: NDArray[np.int64] | None, tau: float
) -> tuple[Columns, dict[str, Any]]:
    """Coverage against synsets dealt among classes that look alike (groups `[n_classes]`), at `tau`."""
    if groups is None:
        return {}, {}
    test = likeness_permutation_test(data.taxonomy, select_classes(data.rates(), tau), groups, SHUFFLES)
    table = test.latents
    columns = {"likeness_p_value": table.p_value.to_numpy(), "likeness_q_value": table.q_value.to_numpy()}
    numbers: dict[str, Any] = {"n_groups": len(np.unique(groups[groups != UNKNOWN]))} | _count_significant(
        table.p_value, table.q_value
    )
    numbers["median_log2_coverage"] = median(table.log2_coverage.to_numpy())
    return columns, {"likeness_null": numbers | _band(test.layer)}


def _band(layer: LayerNull | None) -> Numbers:
    """A layer's mean coverage, beside the mean and the 95 % band of the same layer under shuffles."""
    if layer is None:
        return {}
    low, high = np.quantile(layer.random_coverage, [0.025, 0.975])
    return {
        "layer_p_value": layer.p_value,
        "mean_coverage": layer.coverage,
        "null_mean_coverage": float(layer.random_coverage.mean()),
        "null_mean_coverage_low": float(low),
        "null_mean_coverage_high": float(high),
    }


def _count_significant(p: pd.Series, q: pd.Series) -> Numbers:
    """How many latents were tested, how many pass, and the share with p < 0.05 by itself (0.05 by chance).

    The last is informative even when so many are tested that the least p-value that shuffles can give does not pass.
    """
    tested, passed = int(p.notna().sum()), int((q < SIGNIFICANT).sum())
    share, nominal = (float(n / tested) if tested else None for n in (passed, (p < SIGNIFICANT).sum()))
    return {"n_tested": tested, "n_significant": passed, "share_significant": share, "share_p_below_0.05": nominal}


def _shares(taxonomy: Taxonomy, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Share of the images under every node, `[n_nodes]`."""
    images = np.bincount(labels, minlength=len(taxonomy.classes))
    return taxonomy.members @ images / max(1, len(labels))
