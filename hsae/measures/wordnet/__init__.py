"""Latents against WordNet: where the classes of a latent meet, and how that compares with chance."""

from __future__ import annotations

from hsae.measures.wordnet.absorption import hard_absorption, least_cosine, matched_soft_absorption, soft_absorption
from hsae.measures.wordnet.class_rules import select_by_mean, select_by_top_images, weighted_coverage_rows
from hsae.measures.wordnet.class_sets import (
    FiringRateFitter,
    FiringRates,
    firing_rates,
    latent_hierarchy,
    select_classes,
    wnids,
)
from hsae.measures.wordnet.emergence import Emergence, emergence, median_by_height
from hsae.measures.wordnet.likeness import GROUP_SIZE, UNKNOWN, LikenessTest, likeness_groups, likeness_permutation_test
from hsae.measures.wordnet.name_scores import NameScore, name_score
from hsae.measures.wordnet.names import ChosenNames, NameRule, choose_names, name_columns, name_latents
from hsae.measures.wordnet.node_scores import BestLatents, NodeScores, node_scores
from hsae.measures.wordnet.nodes import LabelledScores, NodeFits, candidate_nodes, node_fits
from hsae.measures.wordnet.nulls import LayerNull, label_permutation_test, layer_permutation_test, set_nulls
from hsae.measures.wordnet.tree import EdgeRule, FeatureTree, feature_tree, learned_tree
from hsae.measures.wordnet.tree_checks import taxonomy_checks
from hsae.measures.wordnet.tree_scores import TreeScores, score_tree, score_tree_with_null
from hsae.measures.wordnet.weighted import WeightedFit, weighted_fit, weighted_permutation_test

__all__ = [
    "GROUP_SIZE",
    "UNKNOWN",
    "BestLatents",
    "ChosenNames",
    "EdgeRule",
    "Emergence",
    "FeatureTree",
    "FiringRateFitter",
    "FiringRates",
    "LabelledScores",
    "LayerNull",
    "LikenessTest",
    "NameRule",
    "NameScore",
    "NodeFits",
    "NodeScores",
    "TreeScores",
    "WeightedFit",
    "candidate_nodes",
    "choose_names",
    "emergence",
    "feature_tree",
    "firing_rates",
    "hard_absorption",
    "label_permutation_test",
    "latent_hierarchy",
    "layer_permutation_test",
    "learned_tree",
    "least_cosine",
    "likeness_groups",
    "likeness_permutation_test",
    "matched_soft_absorption",
    "median_by_height",
    "name_columns",
    "name_latents",
    "name_score",
    "node_fits",
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
]
