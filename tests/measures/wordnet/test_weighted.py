"""Rates against their own shuffles: least p for a planted node, uniform without one; the exact functions on sets."""

import numpy as np
import pytest
import scipy.stats

from hsae.errors import InputError
from hsae.hierarchy import MISSING, best_node_rows, lch_q_rows
from hsae.measures.wordnet import weighted_coverage_rows, weighted_fit, weighted_permutation_test

B = 200
CAT, DOG = "n02121808", "n02084071"


def rates(n, n_classes, seed=0):
    """Rates as SAEs have them: mostly near 0, some large."""
    return np.random.default_rng(seed).random((n, n_classes)) ** 6


def planted(taxonomy, node, inside=0.9, outside=0.02):
    return np.where(taxonomy.members[taxonomy.position(node)], inside, outside)[None]


def test_the_fit_is_that_of_the_exact_functions(small):
    given = rates(700, 16)  # more rows than are handled at once
    found = weighted_fit(small, given, 0.8)
    np.testing.assert_array_equal(found.lch_q, lch_q_rows(small, given, 0.8))
    np.testing.assert_allclose(found.coverage, weighted_coverage_rows(small, given, found.lch_q))


def test_of_sets_the_f1_is_that_of_the_best_node(small):
    sets = np.random.default_rng(1).random((60, 16)) < 0.2
    sets[0] = False
    found, (best, f1) = weighted_fit(small, sets.astype(float)), best_node_rows(small, sets)
    np.testing.assert_array_equal(found.best, best)
    np.testing.assert_allclose(found.f1, f1)
    assert found.best[0] == found.lch_q[0] == MISSING


def test_by_hand(small):
    """Three cats at 1, 0.5, 0.5: the node of three has F1 2 * 2 / (2 + 3) and coverage 2 / 3; a lone tabby 2 / 3."""
    given = np.zeros((1, 16))
    given[0, :3] = 1, 0.5, 0.5
    found = weighted_fit(small, given)
    assert small.nodes[found.best[0]] == small.nodes[found.lch_q[0]] == CAT
    assert found.f1[0] == pytest.approx(4 / 5)
    assert found.coverage[0] == pytest.approx(2 / 3)


def test_a_planted_dog_latent_gets_the_least_p_value(taxonomies):
    taxonomy = taxonomies["imagenet1k"]
    dogs = planted(taxonomy, DOG, 0.9, 0.005)
    scattered = np.random.default_rng(0).permuted(dogs, axis=1)
    test = weighted_permutation_test(taxonomy, np.vstack([dogs, scattered]), permutations=50)
    assert (test.p_coverage[0], test.p_f1[0]) == (1 / 51, 1 / 51)
    assert test.p_f1[1] > 0.05


def test_permuted_labels_give_uniform_p_values(small):
    """Ties make p conservative; broken at random they make it uniform. Control: rates planted on a node do not."""
    given, random = rates(400, 16), np.random.default_rng(1)
    test = weighted_permutation_test(small, given, permutations=B)
    observed = weighted_fit(small, given)
    shuffled = [weighted_fit(small, random.permuted(given, axis=1)) for _ in range(B)]
    for name in ("coverage", "f1"):
        null = np.stack([getattr(fit, name) for fit in shuffled])
        value, p = getattr(observed, name), test[f"p_{name}"]
        ties = np.isclose(null, value, rtol=1e-9, atol=0)
        larger = ((null > value) & ~ties).sum(0)
        by_hand = (1 + larger + ties.sum(0)) / (1 + B)
        assert np.abs(p - by_hand).max() < 5 * np.sqrt(0.5 / B)
        uniform = (larger + random.random(400) * (1 + ties.sum(0))) / (1 + B)
        assert scipy.stats.kstest(uniform, "uniform").pvalue > 0.01
        for level in (0.01, 0.05, 0.2):
            assert (p <= level).mean() <= level + 3 * np.sqrt(level / 400)
    at_node = 0.4 * rates(200, 16) + 0.6 * planted(small, CAT, 0.9, 0)
    assert scipy.stats.kstest(weighted_permutation_test(small, at_node, permutations=B).p_f1, "uniform").pvalue < 1e-6


def test_latents_that_never_fire_are_left_out_and_the_others_are_controlled_together(small):
    given = np.vstack([np.zeros((1, 16)), rates(20, 16)])
    given[1, 3] = np.nan  # a class without images
    test = weighted_permutation_test(small, given, permutations=B)
    assert test.loc[0].isna().all()
    for name in ("coverage", "f1"):
        np.testing.assert_allclose(test[f"q_{name}"][1:], scipy.stats.false_discovery_control(test[f"p_{name}"][1:]))
    assert weighted_permutation_test(small, given[:1], permutations=B).isna().all(axis=None)
    assert weighted_permutation_test(small, given[:0], permutations=B).empty


def test_a_shuffle_that_changes_nothing_counts(small):
    """All classes at the same rate: every shuffle is the same, whatever the order of its sum."""
    test = weighted_permutation_test(small, np.full((1, 16), 0.1), permutations=B)
    assert (test.p_coverage[0], test.p_f1[0]) == (1, 1)


def test_matrices_and_counts_that_do_not_fit_are_refused(small):
    with pytest.raises(InputError, match="rates of shape"):
        weighted_fit(small, np.zeros((2, 15)))
    with pytest.raises(InputError, match="0 permutations"):
        weighted_permutation_test(small, np.zeros((2, 16)), permutations=0)
