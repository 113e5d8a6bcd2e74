"""Planted truth: a disguised copy gives its permutation back by every score, and strangers are at chance."""

import numpy as np
import pytest
from scipy.sparse import csr_array, hstack

from hsae.comparison.layer_pair import (
    MAIN,
    SCORES,
    SHUFFLED,
    WITHIN,
    LayerLatents,
    beyond_chance,
    match_layers,
    shuffles,
    threshold,
)
from hsae.comparison.matching import NONE
from hsae.errors import InputError
from tests.measures.planted_latents import disguised, sparse_random


def matched(a, b, labels=None):
    return match_layers(LayerLatents.of(a), LayerLatents.of(b), shuffles(a.shape[0], labels))


@pytest.mark.parametrize("score", SCORES)
def test_a_disguised_copy_is_found_out(score):
    a = sparse_random(0)
    b, order = disguised(a)
    scored = matched(a, b)[score]
    inverse = np.argsort(order)
    assert scored.matching.partner.tolist() == inverse.tolist()
    assert scored.matching.assigned.tolist() == inverse.tolist()
    assert scored.matching.mutual.all()
    assert scored.has_partner.all()
    assert scored.reversed().matching.partner.tolist() == order.tolist()
    assert np.mean(scored.chance[SHUFFLED].partner == inverse) < 0.3


@pytest.mark.parametrize("score", SCORES)
def test_strangers_are_at_chance(score):
    scored = matched(sparse_random(0, 2000, 200), sparse_random(1, 2000, 200))[score]
    assert scored.has_partner.mean() < 0.03
    shuffled = scored.chance[SHUFFLED].score.mean()
    assert scored.matching.score.mean() == pytest.approx(shuffled, rel=0.05)
    if scored.chance_best is not None:
        assert shuffled == pytest.approx(scored.chance_best, rel=0.05)


def test_few_pass_the_threshold_by_chance():
    chance = np.array([0.1] * 198 + [0.15, 0.2, np.nan], np.float32)
    assert threshold(chance) == pytest.approx(0.1, abs=0.001)
    assert beyond_chance(chance, chance).sum() == 2
    assert not beyond_chance(chance, np.full(3, np.nan, np.float32)).any()


def test_shuffling_within_classes_keeps_what_the_labels_explain():
    labels = np.arange(600) % 20
    one_hot = csr_array(np.eye(20, dtype=np.float32)[labels])
    strength = [np.random.default_rng(seed).uniform(0.5, 1, (600, 20)).astype(np.float32) for seed in (1, 2)]
    a, b = (one_hot.multiply(s).tocsr() for s in strength)
    scored = matched(a, b, labels)["correlation"]
    assert scored.has_partner.all()
    # All there is to these partners is the class: exchanging images within it takes nothing away.
    assert scored.chance[WITHIN].score.mean() == pytest.approx(scored.matching.score.mean(), abs=0.02)
    assert scored.chance[SHUFFLED].score.mean() < 0.3


def test_orders_are_permutations_and_the_second_keeps_the_labels():
    labels = np.random.default_rng(0).integers(-1, 5, 100)
    orders = shuffles(100, labels)
    assert all(sorted(order) == list(range(100)) for order in orders.values())
    assert (labels[orders[WITHIN]] == labels).all()
    assert (orders[WITHIN] != np.arange(100)).mean() > 0.8
    assert list(shuffles(100)) == list(shuffles(100, np.full(100, -1))) == [SHUFFLED]


def test_dead_latents_are_nobodys_partner():
    a = sparse_random(0)
    b = csr_array(hstack([csr_array((400, 1), dtype=np.float32), a]))
    scored = matched(b, a)
    for score in SCORES:
        assert scored[score].matching.partner[0] == NONE
        assert not scored[score].has_partner[0]
        assert scored[score].matching.partner[1:].tolist() == list(range(30))
    silent = matched(csr_array((400, 3), dtype=np.float32), a)[MAIN]
    assert not silent.has_partner.any()
    assert not silent.reversed().has_partner.any()


def test_too_few_or_other_images_are_refused():
    with pytest.raises(InputError, match="19 images"):
        LayerLatents.of(sparse_random(0, 19))
    with pytest.raises(InputError, match="400 and of 50"):
        matched(sparse_random(0), sparse_random(0, 50))
