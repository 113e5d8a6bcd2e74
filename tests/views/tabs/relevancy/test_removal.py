"""What is said about a map follows from its removal curves."""

from __future__ import annotations

import re

import numpy as np

from hsae.faithfulness.curves import Curve
from hsae.views.tabs.relevancy.removal import removal_html, verdict
from tests.views.conftest import HOSTILE

FRACTIONS = np.array([0.0, 0.25, 0.5, 1.0])


def curve(morf, random, lerf) -> Curve:
    return Curve(FRACTIONS, *(np.array(values, float) for values in (morf, lerf, random)), baseline="blur")


GOOD = curve([4, 1, 0.5, 0], [4, 3, 2, 0], [4, 3.9, 3.5, 0])
CHANCE = curve([4, 3, 2, 0], [4, 3, 2, 0], [4, 3, 2, 0])


def test_a_map_better_than_chance_is_told_by_how_much():
    share = re.search(r"by (\d+) %", verdict("dog", GOOD))[1]
    assert int(share) == round(100 * GOOD.random_gap)
    assert "no better than removing at random" in verdict("dog", CHANCE)
    assert "nothing for a map to explain" in verdict("dog", curve([1, 1, 1, 1], [1] * 4, [1] * 4))


def test_the_curves_are_drawn_where_their_values_are():
    html = removal_html("dog", GOOD)
    ys = [[float(y) for y in re.findall(r'cy="([\d.]+)"', part)] for part in html.split("<polyline")[1:]]
    assert len(ys) == 3
    first = [group[1] for group in ys]
    assert first == sorted(first, reverse=True)  # y grows downwards: most relevant first falls most
    assert all(group[0] == min(group) and group[-1] == max(group) for group in ys)
    assert "blurred picture" in html
    assert "Over many photos" not in html


def test_the_features_own_score_is_told_when_it_was_measured():
    assert "score 0.25" in removal_html("dog", GOOD, 0.25)


def test_words_from_outside_stay_words():
    assert "<script>" not in removal_html(HOSTILE, GOOD)
