"""How concentrated a latent's firing rates are under one node, against the same rates dealt to the classes at random.

Set statistics have one null for every set size (`label_permutation_test`); these use how often a latent fires on each
class, so each latent is shuffled by itself. The definitions are a reconstruction of this project's own [R].
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsae.errors import InputError
from hsae.hierarchy.lch import MISSING, distinct_nodes
from hsae.hierarchy.taxonomy import ROUNDING, Taxonomy, spare_mass
from hsae.measures.statistics import benjamini_hochberg

_ROWS = 512  # latents shuffled at once; with 1000 classes and 1400 nodes some 10 MB
Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class WeightedFit:
    """One value per row; NaN, and MISSING as node, for a row without any firing."""

    lch_q: NDArray[np.int64]
    """Tightest node with the share q of the rates, as a position in `taxonomy.nodes`."""
    coverage: Rows
    """Mean rate over the classes under lch_q, in [0, 1]."""
    best: NDArray[np.int64]
    """Node with the largest F1, as a position."""
    f1: Rows
    """Its F1 = 2 sum_{c under a} r(c) / (sum_c r(c) + |L(a)|): of images, when all classes have as many."""


def weighted_fit(taxonomy: Taxonomy, rates: Rows, q: float = 0.9) -> WeightedFit:
    """LCH_q with its coverage, and the best node, of firing rates `[n, n_classes]` in [0, 1] (NaN counts as 0)."""
    rates = _check_rates(taxonomy, rates)
    nodes = distinct_nodes(taxonomy)
    parts = [_fit(taxonomy, nodes, part, q) for part in _parts(rates)]
    first, coverage, best, f1 = (np.concatenate(values) for values in zip(*parts, strict=True))
    fires = rates.any(axis=1)
    position = (np.where(fires, nodes[ranks], MISSING) for ranks in (first, best))
    return WeightedFit(next(position), np.where(fires, coverage, np.nan), next(position), np.where(fires, f1, np.nan))


def weighted_permutation_test(
    taxonomy: Taxonomy, rates: Rows, q: float = 0.9, permutations: int = 300, seed: int = 0
) -> pd.DataFrame:
    """Are a latent's rates tighter in WordNet than the same rates dealt to the classes at random? One row per latent.

    p_coverage, q_coverage   p = (1 + #{random coverage of LCH_q >= coverage}) / (permutations + 1), and after
                             Benjamini-Hochberg over the latents that fire
    p_f1, q_f1               the same for the F1 of the best node
    Missing for a latent without a firing. Every latent has shuffles of its own; each costs one matrix product.
    """
    if permutations < 1:
        raise InputError(f"{permutations} permutations", "at least 1")
    rates, nodes = _check_rates(taxonomy, rates), distinct_nodes(taxonomy)
    random = np.random.default_rng(seed)
    parts = [_p_values(taxonomy, nodes, part, q, permutations, random) for part in _parts(rates)]
    table = pd.DataFrame(np.concatenate(parts), columns=["p_coverage", "p_f1"])
    table[~rates.any(axis=1)] = np.nan
    for name in ("coverage", "f1"):
        table[f"q_{name}"] = benjamini_hochberg(table[f"p_{name}"])
    return table


def _p_values(
    taxonomy: Taxonomy, nodes: NDArray[np.int64], rates: Rows, q: float, permutations: int, random: np.random.Generator
) -> Rows:
    """Of coverage and of F1, `[n, 2]`."""
    # A shuffle may add up the same rates in another order: what differs by rounding counts as equal.
    least = np.stack(_scores(taxonomy, nodes, rates, q), axis=1) * (1 - ROUNDING)
    as_large = np.zeros(least.shape)
    for _ in range(permutations):
        as_large += np.stack(_scores(taxonomy, nodes, random.permuted(rates, axis=1), q), axis=1) >= least
    return (1 + as_large) / (1 + permutations)


def _scores(taxonomy: Taxonomy, nodes: NDArray[np.int64], rates: Rows, q: float) -> tuple[Rows, Rows]:
    _, coverage, _, f1 = _fit(taxonomy, nodes, rates, q)
    return coverage, f1


def _fit(taxonomy: Taxonomy, nodes: NDArray[np.int64], rates: Rows, q: float) -> tuple[np.ndarray, ...]:
    """Rank of LCH_q and its coverage, rank of the best node and its F1, from one matrix product."""
    size = taxonomy.leaf_counts[nodes]
    outside = rates @ (~taxonomy.members[nodes]).T.astype(np.float64)
    total = rates.sum(axis=1, keepdims=True)
    first = (outside <= spare_mass(rates, q)[:, None]).argmax(axis=1)  # nodes are sorted tightest first
    f1 = 2 * (total - outside) / (total + size)
    best = f1.argmax(axis=1)
    rows = np.arange(len(rates))
    return first, (total[:, 0] - outside[rows, first]) / size[first], best, f1[rows, best]


def _parts(rates: Rows) -> list[Rows]:
    return [rates[start : start + _ROWS] for start in range(0, max(1, len(rates)), _ROWS)]


def _check_rates(taxonomy: Taxonomy, rates: Rows) -> Rows:
    rates = np.nan_to_num(np.asarray(rates, dtype=np.float64), nan=0.0)
    if rates.ndim != 2 or rates.shape[1] != len(taxonomy.classes):
        raise InputError(f"rates of shape {rates.shape}", f"[n, {len(taxonomy.classes)}], a column for every class")
    return rates
