"""The best latent of a node is found with its p-value; noise, and correlated noise, give no small ones."""

import sys

import numpy as np
import pytest

from hsae.hierarchy import MISSING, Taxonomy, distinct_nodes
from hsae.measures.wordnet import LabelledScores, node_fits, node_scores
from hsae.measures.wordnet.node_scores import _chance_gains, _ChanceGains, _p_values
from hsae.measures.wordnet.nodes import ranking
from tests.measures.wordnet.labelled_scores import CLASSES, DOG, balanced_labels, noise, planted

CAT = "n02121808"


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return Taxonomy(CLASSES)


def rows(taxonomy, *nodes):
    return [distinct_nodes(taxonomy).tolist().index(taxonomy.position(node)) for node in nodes]


def best_of(gains, data):
    for latent, scores in enumerate(data.scores.T):
        gains.rank(latent, ranking(scores))
    return gains.best()


def best_gains_by_chance(data, counts, permutations, seed=0):
    return best_of(_chance_gains(data, counts, permutations, seed), data)


def test_planted_nodes_have_their_latent_and_the_least_p(taxonomy):
    measured = node_scores(taxonomy, planted(taxonomy, [CAT, DOG], 0), permutations=99)
    at = rows(taxonomy, CAT, DOG)
    assert measured.best.latent[at].tolist() == [0, 1]
    assert (measured.best.gain[at] > 0.8).all()
    assert measured.best.p[at].tolist() == [0.01, 0.01]
    assert (measured.random.p[at] > 0.01).all()
    assert (measured.random.gain[at] < 0.3).all()
    assert (measured.chance[at] < 0.3).all()


def test_the_p_values_of_noise_are_no_smaller_than_they_should_be(taxonomy):
    p = np.concatenate([node_scores(taxonomy, noise(seed), permutations=99, seed=seed).best.p for seed in range(12)])
    p = p[np.isfinite(p)]
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).mean() <= level + 0.05
    assert (p <= 0.5).mean() > 0.2  # an upper bound, but no empty one


def test_latents_that_go_together_are_permuted_together(taxonomy):
    """Forty copies of one latent have the maximum of one; shuffling each by itself would have that of forty."""
    one = noise(0, n=1)
    copies = LabelledScores(np.repeat(one.scores, 40, axis=1), one.labels)
    single, repeated, apart = (best_gains_by_chance(d, [60], 200)[60] for d in (one, copies, noise(0, n=40)))
    np.testing.assert_allclose(single, repeated, atol=1e-6)
    assert np.median(apart) > np.quantile(single, 0.9)


def test_a_null_is_that_of_permuted_labels(taxonomy):
    """Naive: permute all labels, and take the best latent of a node by the exact gains of every latent."""
    data, under = noise(3, n=8), taxonomy.members[[taxonomy.position(CAT)]]
    random = np.random.default_rng(7)
    naive = [
        node_fits(LabelledScores(data.scores, random.permutation(data.labels)), under).ap_gain.max() for _ in range(400)
    ]
    ours = best_gains_by_chance(data, [60], 400)[60]
    np.testing.assert_allclose(np.quantile(ours, [0.1, 0.5, 0.9]), np.quantile(naive, [0.1, 0.5, 0.9]), rtol=0.15)


@pytest.mark.parametrize("directions", [3, 200])
@pytest.mark.parametrize("n_latents", [20, 400, 1100])
@pytest.mark.parametrize("rounded", [False, True])
def test_the_latents_that_are_sorted_have_the_best_among_them(directions, n_latents, rounded, monkeypatch):
    """Naive: all latents sorted. They see the same `directions` numbers of an image, so few of them are independent."""
    monkeypatch.setattr(sys.modules[_ChanceGains.__module__], "multiplies_bfloat16", lambda: rounded)
    random, sizes = np.random.default_rng(n_latents), [3, 6, 16, 64, 256]  # a tenth of the images or fewer, and more
    labels = balanced_labels(0, a_class=40)
    scores = random.standard_normal((len(labels), directions)) @ random.standard_normal((directions, n_latents))
    data = LabelledScores(scores.astype(np.float32), labels)
    drawn = random.permuted(np.tile(np.arange(640, dtype=np.int32), (50, 1)), axis=1)
    ranks = 1 + np.argsort(-data.scores, axis=0, kind="stable").argsort(axis=0)
    for size, gain in best_of(_ChanceGains(data, drawn, sizes), data).items():
        ours = gain * (1 - size / 640) + size / 640
        hits = np.arange(1, size + 1)[:, None]
        naive = np.array([(hits / np.sort(ranks[one[:size]], axis=0)).mean(axis=0).max() for one in drawn])
        assert (ours <= naive + 1e-9).all()
        np.testing.assert_allclose(ours, naive, rtol=0.03)
        assert (ours > naive - 1e-9).mean() > 0.9


def test_between_two_numbers_of_images_a_node_takes_the_larger_p_value():
    """The quantiles fall with the number of images and then rise, so those in between are below one of the two."""
    labels = balanced_labels(0, a_class=100)
    data = LabelledScores(np.random.default_rng(1).standard_normal((len(labels), 30)).astype(np.float32), labels)
    nulls = best_gains_by_chance(data, [25, 26, 49, 50, 700], 300)
    assert list(nulls) == [25, 50, 700]
    for count in (35, 200, 400):
        own = best_gains_by_chance(data, [count], 300, seed=1)[count]
        gain = np.quantile(own, [0.5, 0.8, 0.95])
        bound = _p_values(gain, np.full(3, count), nulls)
        assert (bound >= np.array([0.5, 0.2, 0.05]) - 0.03).all()
    np.testing.assert_array_equal(_p_values(np.array([0.0, 1.0]), np.array([25, 700]), nulls), [1, 1 / 301])


def test_nodes_of_half_the_images_and_of_none_are_not_tested(taxonomy):
    data = planted(taxonomy, [CAT], 0)
    few = data.labels < 5  # cats and dogs
    measured = node_scores(taxonomy, LabelledScores(data.scores[few], data.labels[few]), permutations=20)
    cat, dog = rows(taxonomy, CAT, DOG)
    assert measured.best.latent[cat] == MISSING  # three fifths
    assert np.isnan(measured.best.p[cat])
    assert np.isfinite(measured.best.p[dog])
    nothing = node_scores(taxonomy, LabelledScores(np.zeros((0, 3), np.float32), np.zeros(0, int)))
    assert (nothing.best.latent == MISSING).all()


def test_silent_latents_tell_nothing(taxonomy):
    data = noise(0)
    measured = node_scores(taxonomy, LabelledScores(np.zeros_like(data.scores), data.labels), permutations=20)
    assert np.nanmax(np.abs(measured.best.gain)) < 1e-6
    assert np.nanmin(measured.best.p) > 0.5
