"""Nodes emerge where they were planted; chosen on one half, scored on the other; above the floor only if real."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import FiringRates, emergence, median_by_height, multi_class_nodes, node_scores
from hsae.measures.wordnet.emergence import best_thresholds, f1_columns
from tests.hierarchy.conftest import SMALL

IMAGES = 20


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return Taxonomy(SMALL)


def firings(rates: np.ndarray, seed: int) -> FiringRates:
    """Binomial firings of latents with the given rates [n_latents, n_classes]."""
    fired = np.random.default_rng(seed).binomial(IMAGES, rates)
    return FiringRates(fired, np.full(rates.shape[1], IMAGES))


def layer(taxonomy, known: list[int], seed=0, n_random=30):
    """Scores of a layer with a latent for each of the `known` node positions, and many that mean nothing."""
    random, n_classes = np.random.default_rng(seed), len(taxonomy.classes)
    planted = np.where(taxonomy.members[known], 0.95, 0.02) if known else np.zeros((0, n_classes))
    rates = np.vstack([planted, np.tile(random.random((n_random, 1)) * 0.3, n_classes)])
    return node_scores(taxonomy, firings(rates, seed), firings(rates, seed + 100))


def test_multi_class_nodes_are_all_sets_of_several_classes_once(taxonomy):
    nodes = multi_class_nodes(taxonomy)
    sets = [taxonomy.members[p].tobytes() for p in range(len(taxonomy.nodes)) if taxonomy.leaf_counts[p] > 1]
    assert sorted(taxonomy.members[p].tobytes() for p in nodes) == sorted(set(sets))
    assert all(taxonomy.lch(taxonomy.classes_under(taxonomy.nodes[p])) == taxonomy.nodes[p] for p in nodes)


def test_planted_nodes_beat_the_floor_and_the_rest_does_not(taxonomies):
    taxonomy = taxonomies["tiny200"]
    nodes = multi_class_nodes(taxonomy)
    chosen = disjoint(taxonomy, [p for p in nodes if 3 <= taxonomy.leaf_counts[p] <= 20], [])
    found = layer(taxonomy, chosen)
    rows = np.searchsorted(nodes, chosen)
    assert found.latent[rows].tolist() == list(range(len(chosen)))
    assert (found.f1[rows] > found.floor_max[rows]).all()
    nothing = layer(taxonomy, [])
    assert (nothing.f1 > nothing.floor_max).mean() < 0.1
    assert np.abs(nothing.f1 - nothing.floor).mean() < 0.05


def test_the_score_is_that_of_the_half_that_did_not_choose(taxonomy):
    members = taxonomy.members[multi_class_nodes(taxonomy)].astype(float)
    perfect, silent = firings(members, 0), firings(np.zeros_like(members), 0)
    assert (node_scores(taxonomy, perfect, perfect, shuffles=2).f1 == 1).all()
    assert (node_scores(taxonomy, perfect, silent, shuffles=2).f1 == 0).all()


def test_hand_computed_f1(taxonomy):
    """A latent that fires on half of all cats and nothing else: precision 1, recall 1/2."""
    cat = int(np.flatnonzero([taxonomy.nodes[p] == "n02121808" for p in multi_class_nodes(taxonomy)])[0])
    fired = np.zeros((1, 16), int)
    fired[0, :3] = IMAGES // 2
    rates = FiringRates(fired, np.full(16, IMAGES))
    assert node_scores(taxonomy, rates, rates, shuffles=1).f1[cat] == pytest.approx(2 / 3)


def test_nodes_emerge_where_they_were_planted_coarse_first(taxonomies):
    taxonomy = taxonomies["tiny200"]
    coarse = disjoint(taxonomy, [p for p in multi_class_nodes(taxonomy) if 8 <= taxonomy.leaf_counts[p] <= 20], [])
    fine = disjoint(taxonomy, [p for p in multi_class_nodes(taxonomy) if 3 <= taxonomy.leaf_counts[p] <= 6], coarse)
    assert len(coarse) >= 3
    assert len(fine) >= 3
    nothing, both = layer(taxonomy, []), layer(taxonomy, coarse + fine, 2)
    found = emergence(taxonomy, [nothing, layer(taxonomy, coarse, 1), both, both])
    table = found.table.set_index("node")
    assert set(table.emergence[[taxonomy.nodes[p] for p in coarse]]) == {1.0}
    assert set(table.emergence[[taxonomy.nodes[p] for p in fine]]) == {2.0}
    assert set(table.appearance[[taxonomy.nodes[p] for p in fine]]) == {2.0}
    fine_first = emergence(taxonomy, [nothing, layer(taxonomy, fine, 1), both, both])
    for key in ("spearman_emergence_height", "spearman_appearance_height"):
        assert found.summary[key] < fine_first.summary[key] - 0.2


def disjoint(taxonomy: Taxonomy, nodes: list[int], others: list[int]) -> list[int]:
    """Of `nodes` the first few that share no class with each other or with `others`."""
    taken = taxonomy.members[others].any(axis=0) if others else np.zeros(len(taxonomy.classes), bool)
    chosen = []
    for p in nodes:
        if not (taxonomy.members[p] & taken).any():
            chosen.append(int(p))
            taken = taken | taxonomy.members[p]
    return chosen[:6]


def test_nothing_known_means_nothing_emerges(taxonomy):
    dead = FiringRates(np.zeros((4, 16), int), np.full(16, IMAGES))
    scores = node_scores(taxonomy, dead, dead, shuffles=3)
    found = emergence(taxonomy, [scores, scores])
    assert found.table.emergence.isna().all()
    assert found.summary["n_found"] == 0
    assert found.summary["spearman_emergence_height"] is None
    assert len(median_by_height(found.table)) == 0


def test_median_by_height_has_an_interval_around_it():
    import pandas as pd

    table = pd.DataFrame({"height": [1, 1, 1, 4, 9], "emergence": [2.0, 3, 4, 5, np.nan]})
    rows = median_by_height(table).to_numpy().tolist()
    assert [row[:3] for row in rows] == [[1, 3, 3], [4, 1, 5]]
    assert rows[0][3] <= 3 <= rows[0][4]
    assert rows[1][3:] == [5, 5]


@given(seed=st.integers(0, 30))
def test_best_thresholds_are_as_good_as_any(seed):
    random = np.random.default_rng(seed)
    scores, truth = np.round(random.random((30, 3)), 1), random.random((30, 3)) < 0.4
    best = f1_columns(scores >= best_thresholds(scores, truth), truth)
    for threshold in np.unique(scores):
        assert (f1_columns(scores >= threshold, truth) <= best + 1e-12).all()


def test_f1_columns_by_hand():
    yes, truth = np.array([[1, 0], [1, 0]], bool), np.array([[1, 0], [0, 0]], bool)
    assert f1_columns(yes, truth).tolist() == [pytest.approx(2 / 3), 0]
