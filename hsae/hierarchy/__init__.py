"""WordNet and where the classes of a latent meet in it."""

from __future__ import annotations

from hsae.hierarchy.lch import best_node_rows, coverage_rows, lch_q_rows, lch_rows
from hsae.hierarchy.selection import FiringRateFitter, FiringRates, firing_rates, latent_hierarchy, select_classes
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.hierarchy.wordnet import WordNet, wordnet

__all__ = [
    "FiringRateFitter",
    "FiringRates",
    "Taxonomy",
    "WordNet",
    "best_node_rows",
    "coverage_rows",
    "firing_rates",
    "latent_hierarchy",
    "lch_q_rows",
    "lch_rows",
    "select_classes",
    "wordnet",
]
