"""WordNet, and where a set of classes meets in it."""

from __future__ import annotations

from hsae.hierarchy.lch import MISSING, best_node_rows, coverage_rows, distinct_nodes, lch_q_rows, lch_rows
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.hierarchy.wordnet import WordNet, wordnet

__all__ = [
    "MISSING",
    "Taxonomy",
    "WordNet",
    "best_node_rows",
    "coverage_rows",
    "distinct_nodes",
    "lch_q_rows",
    "lch_rows",
    "wordnet",
]
