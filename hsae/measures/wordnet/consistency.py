"""How hierarchical a layer is: every measure of consistency with WordNet, each beside its null.

    cophenetic_path, cophenetic_height   distances of class means against WordNet's: shortest path, height of the LCH
    neighbours                           mean average precision of kin among a class's nearest classes
    severity                             height at which a probe's mistakes meet the truth (small is good)
    full_path, inconsistency             one probe a level: all levels right; levels that contradict each other (small)
    parent_cosine                        of a parent with what its children add (small is good)
Class means are those of the images that probes are trained on, probes are read on others.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hsae.hierarchy.lch import distinct_nodes
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.statistics import AgainstNull
from hsae.measures.wordnet.class_distances import lch_heights, path_distances
from hsae.measures.wordnet.class_means import class_means
from hsae.measures.wordnet.cophenetic import cophenetic
from hsae.measures.wordnet.level_probes import Labelled, LayerImages, read_levels
from hsae.measures.wordnet.levels import full_path_accuracy, level_groups, tree_inconsistency
from hsae.measures.wordnet.mistakes import severity
from hsae.measures.wordnet.neighbourhoods import neighbourhood_precision
from hsae.measures.wordnet.parents import families, parent_alignment

PRIMARY = "cophenetic_height"
"""The one number that stands for a layer where there is room for one; chosen before anything was measured."""
SMALLER = ("severity", "inconsistency", "parent_cosine")
"""Measures of which small values are the good ones."""


@dataclass(frozen=True)
class Consistency:
    """What is known of a layer."""

    accuracy: float
    """Of the probe of the classes (`level_probes`) on the test images, in [0, 1]."""
    measures: dict[str, AgainstNull | None]
    """By name; None for what these images cannot measure."""


def layer_consistency(images: LayerImages, taxonomy: Taxonomy) -> Consistency:
    """Every measure of one layer; InputError for images of fewer than three classes."""
    geometry = _geometry(images.train, taxonomy)
    groups, truth = level_groups(taxonomy), images.test.labels.numpy()
    said = read_levels(images, groups)
    class_of = {node: column for column, node in enumerate(groups[0].tolist())}
    classes = np.array([class_of[node] for node in said[0].tolist()])
    read = {
        "severity": severity(truth, classes, lch_heights(taxonomy)),
        "full_path": full_path_accuracy(said, truth, groups),
        "inconsistency": tree_inconsistency(said, truth, groups),
    }
    return Consistency(float((classes == truth).mean()), geometry | read)


def _geometry(train: Labelled, taxonomy: Taxonomy) -> dict[str, AgainstNull | None]:
    """The measures of class means."""
    means = class_means(train.x, train.labels)
    here = np.ix_(means.columns, means.columns)
    groups = taxonomy.members[distinct_nodes(taxonomy)][:, means.columns]
    return {
        "cophenetic_path": cophenetic(means.distances, path_distances(taxonomy)[here]),
        "cophenetic_height": cophenetic(means.distances, lch_heights(taxonomy)[here]),
        "neighbours": neighbourhood_precision(means.distances, groups),
        "parent_cosine": parent_alignment(means.products, families(groups)),
    }
