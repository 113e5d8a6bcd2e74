"""Partners by a score: by hand, the assignment against every permutation, and what must hold for all scores."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsae.comparison.matching import NONE, match
from hsae.errors import InputError

SCORES = np.array([[0.9, 0.8, 0], [0.7, 0.1, 0], [0, 0, 0]], np.float32)
scores = arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 5)), elements=st.integers(-2, 6).map(float))


def alive(scores):
    return match(scores, *(np.ones(n, bool) for n in scores.shape))


def test_partners_by_hand():
    found = alive(SCORES)
    assert found.score.tolist() == pytest.approx([0.9, 0.7, 0])
    assert found.partner.tolist() == [0, 0, NONE]
    assert found.back_partner.tolist() == [0, 0, NONE]
    assert found.mutual.tolist() == [True, False, False]
    assert found.assigned.tolist() == [1, 0, NONE]  # 0.8 + 0.7 is more than 0.9 + 0.1
    assert found.assigned_score.tolist() == pytest.approx([0.8, 0.7, 0])


def test_dead_latents_have_no_partner_and_are_none():
    found = match(SCORES, np.array([False, True, True]), np.array([False, True, True]))
    assert np.isnan(found.score).tolist() == [True, False, False]
    assert found.partner.tolist() == [NONE, 1, NONE]
    assert found.back_partner.tolist() == [NONE, 1, NONE]
    assert found.living.tolist() == [False, True, True]
    nobody = match(SCORES, np.zeros(3, bool), np.ones(3, bool))
    assert (nobody.partner == NONE).all()
    assert nobody.back_score.tolist() == [0, 0, 0]


@given(scores)
def test_the_assignment_is_the_best_of_all(scores):
    found = alive(scores)
    wide = np.maximum(scores if scores.shape[0] <= scores.shape[1] else scores.T, 0)
    best = max(sum(wide[i, j] for i, j in enumerate(p[: len(wide)])) for p in permutations(range(wide.shape[1])))
    assert found.assigned_score.sum() == best
    taken = found.assigned[found.assigned != NONE]
    assert len(set(taken)) == len(taken)


@given(scores)
def test_mutual_is_symmetric_and_turning_round_changes_nothing(scores):
    found, turned = alive(scores), alive(scores).reversed()
    pairs = {(f, int(found.partner[f])) for f in np.flatnonzero(found.mutual)}
    assert pairs == {(int(turned.partner[g]), g) for g in np.flatnonzero(turned.mutual)}
    assigned = {(f, int(g)) for f, g in enumerate(found.assigned) if g != NONE}
    assert assigned == {(int(f), g) for g, f in enumerate(turned.assigned) if f != NONE}
    assert turned.assigned_score.sum() == found.assigned_score.sum()
    transposed = alive(scores.T.copy())
    assert (transposed.score == turned.score).all()
    assert (transposed.partner == turned.partner).all()


def test_scores_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"scores \(3, 3\)"):
        match(SCORES, np.ones(3, bool), np.ones(4, bool))
