from __future__ import annotations

import numpy as np
import pytest

from hsae.hierarchy import Taxonomy
from hsae.steering.causal.measures import (
    ClassChange,
    advantage,
    distances,
    locality,
    measure,
    monotonicity,
    profile,
    shuffled,
)

# tabby, Persian cat, beagle, robin, fire engine
TAXONOMY = Taxonomy(("n02123045", "n02123394", "n02088364", "n01558993", "n03345487"))
CAT = "n02121808"
AROUND_CAT = distances(TAXONOMY, CAT)


def test_distance_is_how_much_higher_one_has_to_climb_to_meet_a_class():
    cats = TAXONOMY.classes_under(CAT)
    for distance, wnid in zip(AROUND_CAT, TAXONOMY.classes, strict=True):
        climbed = TAXONOMY.height(TAXONOMY.lch({*cats, wnid})) - TAXONOMY.height(CAT)
        assert distance == (0 if wnid in cats else climbed)
    assert AROUND_CAT[0] == AROUND_CAT[1] == 0 < AROUND_CAT[2] < AROUND_CAT[3] < AROUND_CAT[4]


def test_advantage_is_over_the_nearest_others_only():
    assert advantage(np.array([3.0, 1.0, 0.5, -100, 100]), AROUND_CAT) == pytest.approx(1.5)


def test_locality_is_one_for_gains_all_over_and_c_over_l_for_gains_inside():
    assert locality(np.ones(5), AROUND_CAT) == pytest.approx(1)
    assert locality(np.array([0.1, 0.2, -0.3, 0, 0]), AROUND_CAT) == pytest.approx(5 / 2)
    assert locality(np.array([-1.0, 0.1, 0.3, 0, 0]), AROUND_CAT) == pytest.approx(0.25 * 5 / 2)
    assert np.isnan(locality(-np.ones(5), AROUND_CAT))


def test_monotonicity_is_one_when_every_step_away_gains_less():
    distance = np.arange(5)
    assert monotonicity(np.exp(-distance), distance) == pytest.approx(1)
    assert monotonicity(np.exp(distance), distance) == pytest.approx(-1)
    assert np.isnan(monotonicity(np.ones(5), distance))


def test_the_profile_sums_probabilities_and_averages_logits():
    change = ClassChange(np.array([3.0, 1.0, 0.5, 0.25, 0.125]), np.array([0.2, 0.1, -0.1, -0.1, -0.1]))
    found = profile(change, AROUND_CAT)
    assert [ring["distance"] for ring in found] == sorted(set(AROUND_CAT.tolist()))
    assert (found[0]["n_classes"], found[0]["probability"], found[0]["logit"]) == (2, pytest.approx(0.3), 2.0)
    assert sum(ring["probability"] for ring in found) == pytest.approx(0)


def test_a_shift_of_all_logits_is_no_effect():
    logits = np.array([3.0, 1.0, 0.5, 0.25, 0.125])
    one, other = (measure(ClassChange(logits + shift, logits / 10), AROUND_CAT) for shift in (0, 7))
    assert one == pytest.approx(other)


def test_shuffling_judges_every_change_by_every_node():
    changes = [ClassChange(np.eye(5)[i], np.eye(5)[i]) for i in (0, 4)]
    nodes = [AROUND_CAT, distances(TAXONOMY, TAXONOMY.root)]
    nodes[1] = np.array([1, 1, 1, 1, 0])
    found = shuffled(changes, nodes, "advantage")
    assert found == pytest.approx(np.array([[0.5, -0.25], [0, 1]]))
