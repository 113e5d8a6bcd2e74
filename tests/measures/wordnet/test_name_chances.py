"""The chance of a name is right on other images, and never certain of what was hardly seen."""

from __future__ import annotations

import numpy as np
import pytest

from hsae.hierarchy import Taxonomy
from hsae.hierarchy.lch import MISSING
from hsae.measures.wordnet.name_chances import chances, fit_chances
from hsae.measures.wordnet.nodes import LabelledScores

CAT, CAR = "n02121808", "n02958343"
TAXONOMY = Taxonomy([CAT, CAR])
NODE = np.array([TAXONOMY.position(CAT), MISSING])


def planted(n: int, slope: float, seed: int) -> LabelledScores:
    """The odds of a cat are exp(slope x score - 1)."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 2, n)
    cat = random.random(n) < 1 / (1 + np.exp(1 - slope * scores))
    return LabelledScores(np.stack([scores, scores], 1).astype(np.float32), np.where(cat, 0, 1))


@pytest.mark.parametrize("slope", [0.0, 0.7, 3.0])
def test_planted_odds_are_found(slope):
    found = fit_chances(TAXONOMY, NODE, planted(8000, slope, seed=0))
    assert found.slope[0] == pytest.approx(slope, abs=0.15)
    assert found.offset[0] == pytest.approx(-1, abs=0.1)
    assert np.isnan([found.slope[1], found.offset[1]]).all()


def test_they_are_calibrated_on_other_images_and_shuffled_labels_say_only_the_share():
    data, other = planted(4000, 1.5, seed=1), planted(4000, 1.5, seed=2)
    found = fit_chances(TAXONOMY, NODE[:1], LabelledScores(data.scores[:, :1], data.labels))
    chance = chances(other.scores[:, 0].astype(float), found.slope[0], found.offset[0])
    sure = chance > 0.8
    assert (other.labels[sure] == 0).mean() == pytest.approx(chance[sure].mean(), abs=0.03)
    shuffled = np.random.default_rng(0).permutation(data.labels)
    noise = fit_chances(TAXONOMY, NODE[:1], LabelledScores(data.scores[:, :1], shuffled))
    flat = chances(other.scores[:, 0].astype(float), noise.slope[0], noise.offset[0])
    assert np.abs(flat - (data.labels == 0).mean()).max() < 0.1


def test_two_images_make_nothing_certain():
    """Separable: without Platt's targets the slope would have no end."""
    found = fit_chances(
        TAXONOMY, NODE[:1], LabelledScores(np.array([[5.0], [-5.0]], dtype=np.float32), np.array([0, 1]))
    )
    assert chances(np.array([5.0]), found.slope, found.offset)[0] == pytest.approx(2 / 3, abs=0.01)


def test_a_score_that_never_varies_says_the_share():
    found = fit_chances(
        TAXONOMY, NODE[:1], LabelledScores(np.ones((300, 1), dtype=np.float32), np.repeat([0, 1], [100, 200]))
    )
    assert chances(np.array([1.0]), found.slope, found.offset)[0] == pytest.approx(1 / 3, abs=0.01)
