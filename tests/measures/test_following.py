"""Planted features that follow one thing each are told apart; noise follows nothing in particular."""

from __future__ import annotations

import numpy as np
import pytest

from hsae.measures.following import KINDS, kept, kind_shares, kinds, survival

CHANGES = {"object", "background", "place", "pose", "colour", "grey", "blur"}
FOLLOWS = {
    "object": {"object"},
    "background": {"background"},
    "scene": {"object", "background"},
    "colour": {"object", "colour", "grey"},
    "texture": {"object", "blur"},
    "place": {"place"},
    "pose": {"object", "pose"},
    "several": {"object", "place", "colour"},
    "none": set(),
}
"""A planted feature per kind, and the changes that exchange its values for those of other pictures."""


def planted(n: int = 200, seed: int = 0) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    generator = np.random.default_rng(seed)

    def values() -> np.ndarray:
        return generator.random((n, len(FOLLOWS))) * (generator.random((n, len(FOLLOWS))) < 0.3)

    base = values()
    lost = {change: np.array([change in follows for follows in FOLLOWS.values()]) for change in CHANGES}
    return base, {change: np.where(lost[change], values(), base * 0.9) for change in CHANGES}


def test_kept_is_worked_out_by_hand():
    z, changed = np.array([[1.0, 0, 2], [1, 0, 0]]), np.array([[1.0, 0, 0], [3, 0, 2]])
    np.testing.assert_allclose(kept(z, changed), [2 / 4, np.nan, 0])


def test_every_planted_feature_has_its_kind():
    left = survival(*planted())
    assert kinds(left).tolist() == list(FOLLOWS)
    assert kind_shares(left) == {"features": 9, **{kind: pytest.approx(1 / 9) for kind in KINDS}}


def test_survival_is_0_where_as_much_is_lost_as_between_pictures_and_1_where_nothing_is():
    base, changed = planted(2000)
    left = survival(base, changed | {"nothing": base})
    assert (left["nothing"] == 1).all()
    object_feature = list(FOLLOWS).index("object")
    assert left["object"][object_feature] == pytest.approx(0, abs=0.05)
    assert left["place"][object_feature] == pytest.approx(0.9, abs=0.05)


def test_features_that_are_rare_or_everywhere_the_same_are_not_judged():
    base, changed = planted()
    base[:, 0], changed = 1.0, {change: z.copy() for change, z in changed.items()}
    base[4:, 1] = 0
    left = survival(base, changed)
    assert left.isna().all(axis=1).tolist() == [True, True, *[False] * 7]
    assert kind_shares(left)["features"] == 7
    assert kinds(left).isna().sum() == 2


def test_noise_follows_nothing_in_particular():
    generator = np.random.default_rng(0)
    noise = generator.random((9, 100, 50)) * (generator.random((9, 100, 50)) < 0.3)
    left = survival(noise[0], dict(zip(CHANGES, noise[1:], strict=False)))
    assert kind_shares(left)["several"] == 1


def test_without_features_there_are_no_shares():
    left = survival(np.zeros((10, 3)), {change: np.zeros((10, 3)) for change in CHANGES})
    shares = kind_shares(left)
    assert shares["features"] == 0
    assert np.isnan(shares["object"])
