from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import spearmanr

from hsae.measures.statistics import (
    DRAWS,
    against_control,
    against_shuffled,
    benjamini_hochberg,
    bootstrap_interval,
    interval,
    spearman,
)

NOISE = np.random.default_rng(0).normal(size=40)


def test_a_real_difference_is_found_and_its_interval_holds_it():
    found = against_control(1 + NOISE / 4, np.zeros(40))
    assert found["low"] < 1 < found["high"]
    assert found["p"] == pytest.approx(1 / (DRAWS + 1))
    assert found["share"] == 1


def test_no_difference_is_not_found():
    found = against_control(NOISE - NOISE.mean(), np.zeros(40))
    assert found["low"] < 0 < found["high"]
    assert found["p"] > 0.3
    assert against_control(-1 + NOISE / 4, np.zeros(40))["p"] > 0.99


def test_of_two_pairs_a_quarter_of_all_flips_is_as_large():
    assert against_control(np.array([1.0, 2.0]), np.zeros(2))["p"] == pytest.approx(0.25, abs=0.02)


def test_pairs_without_a_number_are_left_out():
    own, control = np.array([1.0, np.nan, 5.0]), np.array([0.0, 0.0, np.nan])
    assert against_control(own, control)["difference"] == 1
    assert set(against_control(own[1:2], control[1:2]).values()) == {None}
    assert interval(own)["mean"] == 3


def test_p_values_without_an_effect_are_spread_over_all_of_0_to_1():
    draws = np.random.default_rng(1).normal(size=(60, 12, 12))
    p = np.array([against_shuffled(values)["p"] for values in draws])
    assert 0.3 < p.mean() < 0.7
    assert p.min() < 0.15
    assert p.max() > 0.85


def test_an_effect_that_belongs_to_its_own_node_is_found():
    found = against_shuffled(np.eye(12))
    assert (found["mean"], found["shuffled"]) == (1, pytest.approx(1 / 12, abs=0.01))
    assert found["p"] == pytest.approx(1 / (DRAWS + 1))
    assert against_shuffled(np.ones((12, 12)))["p"] == 1  # a push that favours every node alike says nothing
    larger = np.repeat(np.arange(12.0)[:, None], 12, axis=1)  # and neither do pushes of different size
    assert against_shuffled(larger) == {"mean": 5.5, "shuffled": pytest.approx(5.5), "p": 1}
    assert set(against_shuffled(np.full((2, 2), np.nan)).values()) == {None}


def test_q_values_are_those_of_benjamini_and_hochberg():
    p = pd.Series([0.01, np.nan, 0.04, 0.03])
    q = benjamini_hochberg(p)
    np.testing.assert_allclose(q, [0.03, np.nan, 0.04, 0.04])
    assert benjamini_hochberg(pd.Series([np.nan])).isna().all()


def test_noise_passes_as_often_as_q_promises():
    random = np.random.default_rng(0)
    passed = [(benjamini_hochberg(pd.Series(random.random(200))) < 0.05).any() for _ in range(200)]
    assert np.mean(passed) < 0.1
    planted = pd.Series([1e-6] * 20 + random.random(180).tolist())
    assert (benjamini_hochberg(planted)[:20] < 0.05).all()


def test_rank_correlation_is_scipys():
    random = np.random.default_rng(1)
    a, b = random.integers(0, 5, 50).astype(float), random.random(50)
    assert spearman(a, b) == pytest.approx(spearmanr(a, b).statistic)
    assert spearman(a[:2], b[:2]) is None
    assert spearman(np.ones(5), b[:5]) is None


def test_intervals_hold_the_mean_as_often_as_they_say():
    random = np.random.default_rng(2)
    held = 0
    for _ in range(200):
        low, high = bootstrap_interval(random.normal(size=40), random, draws=400)
        held += low <= 0 <= high
    assert 0.88 <= held / 200 <= 0.99
