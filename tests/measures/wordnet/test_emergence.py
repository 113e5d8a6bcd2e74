"""Nodes appear where they were planted if they stay for a layer; noise has no appearances."""

import numpy as np
import pandas as pd
import pytest

from hsae.hierarchy import Taxonomy, distinct_nodes
from hsae.measures.wordnet import LabelledScores, emergence, median_by_height, node_scores
from hsae.measures.wordnet.emergence import appearance
from tests.hierarchy.conftest import SMALL

A_CLASS = 12


@pytest.fixture(scope="module")
def taxonomy(taxonomies) -> Taxonomy:
    return taxonomies["tiny200"]


def layer(taxonomy, known, seed=0, permutations=400, n_random=30):
    """Scores of a layer with a latent for each of the `known` node positions, and many that mean nothing."""
    labels = np.repeat(np.arange(len(taxonomy.classes)), A_CLASS)
    scores = np.random.default_rng(seed).standard_normal((len(labels), len(known) + n_random)).astype(np.float32)
    scores[:, : len(known)] += 4 * taxonomy.members[known].T[labels]
    return node_scores(taxonomy, LabelledScores(scores, labels), permutations=permutations)


@pytest.fixture(scope="module")
def planted(taxonomy):
    """Coarse nodes, and fine ones that are not above or below them."""
    nodes = distinct_nodes(taxonomy, at_least=2)
    coarse = disjoint(taxonomy, nodes[taxonomy.leaf_counts[nodes] >= 8][:40], [])
    return coarse, disjoint(taxonomy, nodes[taxonomy.leaf_counts[nodes] <= 4], coarse)


def disjoint(taxonomy: Taxonomy, nodes, others: list[int]) -> list[int]:
    """Of `nodes` those that share no class with each other or with `others`."""
    taken = taxonomy.members[others].any(axis=0) if others else np.zeros(len(taxonomy.classes), bool)
    chosen = []
    for p in nodes:
        if not (taxonomy.members[p] & taken).any():
            chosen.append(int(p))
            taken = taken | taxonomy.members[p]
    return chosen


def test_nodes_appear_where_they_were_planted_coarse_first(taxonomy, planted):
    coarse, fine = planted
    assert min(len(coarse), len(fine)) >= 3
    nothing, both = layer(taxonomy, []), layer(taxonomy, coarse + fine, 2)
    emerged = emergence(taxonomy, [nothing, layer(taxonomy, coarse, 1), both, both])
    table = emerged.table.set_index("node")
    assert set(table.appearance[[taxonomy.nodes[p] for p in coarse]]) == {1.0}
    assert set(table.appearance[[taxonomy.nodes[p] for p in fine]]) == {2.0}
    fine_first = emergence(taxonomy, [nothing, layer(taxonomy, fine, 1), both, both])
    assert emerged.summary["spearman_appearance_height"] < fine_first.summary["spearman_appearance_height"]
    assert table.random_appearance.isna().all()
    assert emerged.random == {
        "n_nodes": emerged.summary["n_nodes"],
        "n_found": 0,
        "spearman_appearance_height": None,
        "spearman_appearance_height_at_equal_size": None,
    }


def test_nothing_appears_in_noise(taxonomy):
    for seed in range(3):
        emerged = emergence(taxonomy, [layer(taxonomy, [], 10 * seed + at, permutations=100) for at in range(3)])
        assert emerged.summary["n_found"] == 0
        assert len(median_by_height(emerged.table)) == 0
    assert np.nanmax(emerged.table.best_gain) > 0.05  # the best of many latents gains by chance


def test_a_node_of_one_layer_does_not_appear():
    p = np.array([[1e-3, 0.9, 1e-3, 1e-3], [0.8, 1e-3, 1e-3, 0.9], [0.7, 1e-3, 1e-3, 1e-3], [0.6, 0.5, np.nan, 1e-3]])
    np.testing.assert_array_equal(appearance(p), [np.nan, 1, 0, 2])
    assert np.isnan(appearance(p[:1])).all()  # nothing is known of a layer after it
    many = np.concatenate([p, np.full((4, 400), 0.9)], axis=1)
    assert np.isnan(appearance(many)).all()  # the same p-values among many that are not small


def test_one_layer_and_classes_without_images_have_a_table():
    taxonomy = Taxonomy(SMALL)
    labels = np.repeat(np.arange(3), 20)
    scores = node_scores(taxonomy, LabelledScores(np.eye(3, dtype=np.float32)[labels], labels), permutations=20)
    emerged = emergence(taxonomy, [scores])
    assert emerged.table.appearance.isna().all()
    assert emerged.summary["n_nodes"] == np.isfinite(emerged.table.best_gain).sum() < len(emerged.table)


def test_median_by_height_has_an_interval_around_it():
    table = pd.DataFrame({"height": [1, 1, 1, 4, 9], "appearance": [2.0, 3, 4, 5, np.nan]})
    rows = median_by_height(table).to_numpy().tolist()
    assert [row[:3] for row in rows] == [[1, 3, 3], [4, 1, 5]]
    assert rows[0][3] <= 3 <= rows[0][4]
    assert rows[1][3:] == [5, 5]
