"""WordNet and where the classes of a latent meet in it."""

from __future__ import annotations

from hsae.hierarchy.absorption import hard_absorption, matched_soft_absorption, soft_absorption
from hsae.hierarchy.emergence import Emergence, NodeScores, emergence, median_by_height, multi_class_nodes, node_scores
from hsae.hierarchy.lch import MISSING, best_node_rows, coverage_rows, distinct_nodes, lch_q_rows, lch_rows
from hsae.hierarchy.likeness import GROUP_SIZE, LikenessTest, likeness_groups, likeness_permutation_test
from hsae.hierarchy.nulls import LayerNull, label_permutation_test, layer_permutation_test, set_nulls
from hsae.hierarchy.rules import halves, select_by_mean, select_by_top_images, weighted_coverage_rows
from hsae.hierarchy.selection import (
    FiringRateFitter,
    FiringRates,
    firing_rates,
    latent_hierarchy,
    select_classes,
    wnids,
)
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.hierarchy.tree import EdgeRule, FeatureTree, feature_tree
from hsae.hierarchy.tree_checks import taxonomy_checks
from hsae.hierarchy.tree_scores import TreeScores, score_tree, score_tree_with_null
from hsae.hierarchy.weighted import WeightedFit, weighted_fit, weighted_permutation_test
from hsae.hierarchy.wordnet import WordNet, wordnet

__all__ = [
    "GROUP_SIZE",
    "MISSING",
    "EdgeRule",
    "Emergence",
    "FeatureTree",
    "FiringRateFitter",
    "FiringRates",
    "LayerNull",
    "LikenessTest",
    "NodeScores",
    "Taxonomy",
    "TreeScores",
    "WeightedFit",
    "WordNet",
    "best_node_rows",
    "coverage_rows",
    "distinct_nodes",
    "emergence",
    "feature_tree",
    "firing_rates",
    "halves",
    "hard_absorption",
    "label_permutation_test",
    "latent_hierarchy",
    "layer_permutation_test",
    "lch_q_rows",
    "lch_rows",
    "likeness_groups",
    "likeness_permutation_test",
    "matched_soft_absorption",
    "median_by_height",
    "multi_class_nodes",
    "node_scores",
    "score_tree",
    "score_tree_with_null",
    "select_by_mean",
    "select_by_top_images",
    "select_classes",
    "set_nulls",
    "soft_absorption",
    "taxonomy_checks",
    "weighted_coverage_rows",
    "weighted_fit",
    "weighted_permutation_test",
    "wnids",
    "wordnet",
]
