"""Every latent against every node equals the definitions, written out as loops, ties and all."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsae.errors import InputError
from hsae.hierarchy import MISSING, Taxonomy
from hsae.measures.wordnet import LabelledScores, candidate_nodes, node_fits
from hsae.measures.wordnet.nodes import best_nodes, own_thresholds, ranking
from tests.measures.wordnet.labelled_scores import CATS, CLASSES, balanced_labels, noise, planted

TAXONOMY = Taxonomy(CLASSES)
MEMBERS = np.array([[1, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 1], [1, 1, 0, 0]], bool)


def mcc_of(said: list[bool], under: list[bool]) -> float:
    """From the four counts, as everyone defines it; 0 where a row or column of the table is empty."""
    pairs = list(zip(said, under, strict=True))
    tp, fp, fn, tn = (pairs.count(p) for p in ((True, True), (True, False), (False, True), (False, False)))
    below = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / math.sqrt(below) if below else 0.0


def best_mcc(scores: list[float], under: list[bool], min_said: int) -> tuple[float, set[float]]:
    """The largest MCC over all thresholds that say enough images, and the thresholds that reach it but for rounding."""
    tried = [(mcc_of([s >= t for s in scores], under), t) for t in set(scores)]
    allowed = [(m, t) for m, t in tried if sum(s >= t for s in scores) >= min_said]
    largest = max(m for m, _ in allowed)
    return largest, {t for m, t in allowed if m > largest - 1e-9}


def ap_gain(scores: list[float], under: list[bool]) -> float:
    n, positives = len(scores), sum(under)
    total = 0.0
    for s, yes in zip(scores, under, strict=True):
        if yes:
            above = [u for other, u in zip(scores, under, strict=True) if other >= s]
            total += sum(above) / len(above)
    share = positives / n
    return (total / positives - share) / (1 - share)


def unscored(labels: np.ndarray) -> LabelledScores:
    return LabelledScores(np.zeros((len(labels), 0), np.float32), labels)


def data(seed: int, n: int, levels: int) -> LabelledScores:
    """Few levels make many ties; the last latent is the same everywhere."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.arange(n) % 4)
    scores = random.integers(-levels, levels, (n, 5)).astype(np.float32)
    scores[:, -1] = -1.5
    return LabelledScores(scores, labels)


@given(st.integers(0, 10_000), st.integers(8, 40), st.sampled_from([2, 5, 10**6]), st.sampled_from([1, 5]))
def test_every_pair_is_that_of_the_definitions(seed, n, levels, min_said):
    given_data = data(seed, n, levels)
    fits, best = node_fits(given_data, MEMBERS, min_said), best_nodes(given_data, MEMBERS, min_said)
    for latent in range(5):
        scores = given_data.scores[:, latent].tolist()
        expected = []
        for node, row in enumerate(MEMBERS):
            under = row[given_data.labels].tolist()
            mcc, thresholds = best_mcc(scores, under, min_said)
            assert fits.ap_gain[latent, node] == pytest.approx(ap_gain(scores, under), abs=1e-6)
            # Only thresholds at images under the node are tried, which are the best unless none is above 0.
            assert fits.mcc[latent, node] == pytest.approx(mcc, abs=1e-6) or max(mcc, fits.mcc[latent, node]) <= 1e-6
            expected.append((mcc, thresholds))
        largest = max(mcc for mcc, _ in expected)
        if largest <= 1e-9:
            assert best.node[latent] == MISSING
            assert np.isnan(best.threshold[latent])
        else:
            mcc, thresholds = expected[best.node[latent]]
            assert best.mcc[latent] == pytest.approx(mcc) == pytest.approx(largest)
            assert best.threshold[latent] in thresholds


@given(st.integers(0, 10_000), st.integers(8, 40), st.sampled_from([2, 5, 10**6]), st.sampled_from([1, 5]))
def test_the_threshold_for_a_node_of_its_own_is_the_best_of_all(seed, n, levels, min_said):
    given_data, latents = data(seed, n, levels), np.array([4, 0, 2, 0])
    found = own_thresholds(given_data, latents, MEMBERS, min_said)
    for latent, row, threshold in zip(latents, MEMBERS, found, strict=True):
        mcc, best = best_mcc(given_data.scores[:, latent].tolist(), row[given_data.labels].tolist(), min_said)
        assert threshold in best if mcc > 1e-9 else np.isnan(threshold)


def test_equal_nodes_give_the_first_which_is_the_tightest():
    """No image is a Siamese cat, so the node of two cats and that of three hold the same images."""
    labels = balanced_labels(0)
    labels = labels[labels != CLASSES.index(CATS[2])]
    nodes = candidate_nodes(TAXONOMY, unscored(labels))
    cats = TAXONOMY.members[nodes][:, [CLASSES.index(wnid) for wnid in CATS]].all(axis=1)
    scores = np.isin(labels, [CLASSES.index(wnid) for wnid in CATS]) + np.arange(len(labels)) * 1e-6
    best = best_nodes(LabelledScores(scores[:, None].astype(np.float32), labels), TAXONOMY.members[nodes])
    assert best.node[0] == np.flatnonzero(cats)[0]
    assert best.mcc[0] == pytest.approx(1)


def test_planted_nodes_are_found_and_noise_finds_nothing_much():
    nodes = [CATS[0], TAXONOMY.lch(CATS), TAXONOMY.lch(["n03345487", "n04389033"])]
    found = planted(TAXONOMY, nodes, seed=3)
    candidates = candidate_nodes(TAXONOMY, found)
    best = best_nodes(found, TAXONOMY.members[candidates])
    assert [TAXONOMY.nodes[p] for p in candidates[best.node[:3]]] == nodes
    assert best.mcc[:3].min() > 0.8
    assert best.mcc[3:].max() < 0.4


def test_candidates_have_images_but_less_than_the_largest_share():
    labels = np.array([0, 0, 0, 3, 8, 9])
    for position in candidate_nodes(TAXONOMY, unscored(labels), 0.5):
        assert 0 < TAXONOMY.members[position][labels].mean() < 0.5
    names = [TAXONOMY.nodes[p] for p in candidate_nodes(TAXONOMY, unscored(labels), 0.51)]
    assert CATS[0] in names
    assert CATS[0] not in [TAXONOMY.nodes[p] for p in candidate_nodes(TAXONOMY, unscored(labels), 0.5)]


def test_a_ranking_counts_equal_scores_together():
    ranked = ranking(np.array([0, 7, -0.0, -1, 7, 3], np.float32))
    assert ranked.order.tolist() == [1, 4, 5, 0, 2, 3]
    assert ranked.ends.tolist() == [2, 2, 3, 5, 5, 6]
    assert ranked.places.tolist() == [3, 0, 4, 5, 1, 2]


@given(arrays(np.float32, st.integers(0, 50), elements=st.floats(allow_nan=False, width=32)))
def test_a_ranking_is_a_stable_sort_of_any_numbers(scores):
    ranked = ranking(scores)
    assert ranked.order.tolist() == np.argsort(-scores, kind="stable").tolist()
    assert ranked.ends.tolist() == [(scores >= scores[i]).sum() for i in ranked.order]


def test_columns_are_copied_a_few_images_at_a_time():
    scores = np.random.default_rng(0).random((1500, 7), dtype=np.float32)
    found = LabelledScores(scores, np.zeros(1500, int)).columns(np.array([6, 0, 6]))
    np.testing.assert_array_equal(found, scores[:, [6, 0, 6]].T)


def test_what_does_not_fit_is_refused():
    scores = np.zeros((6, 2), np.float32)
    with pytest.raises(InputError, match="a class number >= 0"):
        LabelledScores(scores, np.array([0, 0, 0, -1, 1, 1]))
    with pytest.raises(InputError, match=r"labels of shape \(5,\)"):
        LabelledScores(scores, np.zeros(5, int))
    scores[3, 1] = np.nan
    with pytest.raises(InputError, match="NaN"):
        node_fits(LabelledScores(scores, np.arange(6) % 3), MEMBERS[:2], 1)
    with pytest.raises(InputError, match="not all"):
        node_fits(noise(0), np.ones((1, len(CLASSES)), bool))
    with pytest.raises(InputError, match="class number 15"):
        node_fits(noise(0), np.eye(15, dtype=bool))
    with pytest.raises(InputError, match="more than 5 images"):
        node_fits(LabelledScores(scores[:4], np.arange(4)), MEMBERS)
