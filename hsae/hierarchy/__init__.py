"""WordNet and where the classes of a latent meet in it."""

from __future__ import annotations

from hsae.hierarchy.lch import MISSING, best_node_rows, coverage_rows, distinct_nodes, lch_q_rows, lch_rows
from hsae.hierarchy.nulls import label_permutation_test, layer_permutation_test, set_nulls
from hsae.hierarchy.rules import halves, select_by_mean, select_by_top_images, weighted_coverage_rows
from hsae.hierarchy.selection import FiringRateFitter, FiringRates, firing_rates, latent_hierarchy, select_classes
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.hierarchy.wordnet import WordNet, wordnet

__all__ = [
    "MISSING",
    "FiringRateFitter",
    "FiringRates",
    "Taxonomy",
    "WordNet",
    "best_node_rows",
    "coverage_rows",
    "distinct_nodes",
    "firing_rates",
    "halves",
    "label_permutation_test",
    "latent_hierarchy",
    "layer_permutation_test",
    "lch_q_rows",
    "lch_rows",
    "select_by_mean",
    "select_by_top_images",
    "select_classes",
    "set_nulls",
    "weighted_coverage_rows",
    "wordnet",
]
