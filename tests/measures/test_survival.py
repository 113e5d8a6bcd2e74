"""What survives is worked out by hand; a style that keeps nothing of its own is at chance however much it says."""

from __future__ import annotations

import numpy as np
import pytest

from hsae.measures.survival import survival_of


def test_shares_are_worked_out_by_hand():
    said = np.array([[1, 1, 0, 0], [1, 0, 1, 1], [0, 0, 0, 0]], dtype=bool)
    changed = np.array([[1, 0, 0, 1], [1, 1, 0, 1], [1, 1, 1, 1]], dtype=bool)
    found = survival_of(said, changed)
    np.testing.assert_allclose(found.kept, [1 / 2, 2 / 3, np.nan])
    np.testing.assert_allclose(found.null, [(2 / 2 + 2 / 2) / 2, (2 / 3 + 3 / 3) / 2, np.nan])
    numbers = found.numbers()
    assert numbers["pictures"] == 2
    assert numbers["kept"] == pytest.approx(7 / 12)
    assert numbers["null"] == pytest.approx(11 / 12)
    assert numbers["gain"] == pytest.approx(-1 / 3)


def test_what_is_kept_is_above_chance_and_noise_is_not():
    random = np.random.default_rng(0)
    said = random.random((300, 40)) < 0.2
    kept = survival_of(said, said & (random.random(said.shape) < 0.7)).numbers()
    assert kept["low"] < 0.7 < kept["high"]
    assert kept["gain_low"] > 0.4
    assert kept["p"] < 0.001
    for loud in (0.2, 0.9):
        noise = survival_of(said, random.random(said.shape) < loud).numbers()
        assert noise["kept"] == pytest.approx(loud, abs=0.05)
        assert noise["gain_low"] < 0 < noise["gain_high"]
        assert noise["p"] > 0.01


def test_a_style_that_makes_all_alike_gains_nothing():
    said = np.random.default_rng(0).random((20, 6)) < 0.5
    found = survival_of(said, np.ones_like(said)).numbers()
    assert (found["kept"], found["null"], found["gain"]) == (1, 1, 0)


def test_nothing_said_gives_no_numbers():
    numbers = survival_of(np.zeros((3, 2), bool), np.ones((3, 2), bool)).numbers()
    assert numbers.pop("pictures") == 0
    assert set(numbers.values()) == {None}
