"""Several models in one chart: every layer a point at its depth, which leads there."""

from __future__ import annotations

import re

import pytest

from hsae.errors import InputError
from hsae.views.parts.overlay import overlay_chart
from tests.views.conftest import HOSTILE

MODELS = {"vit": [("block_01", 0.1), ("block_02", 0.4)], HOSTILE: [("stem", 0.05), ("stage_1", None), ("head", 0.5)]}


def test_points_stand_at_their_depth_and_height():
    html = overlay_chart("accuracy", MODELS, ("vit", "block_02"))
    places = re.findall(r'class="place( chosen)?" cx="([\d.]+)" cy="([\d.]+)"', html)
    assert len(places) == 4
    xs, ys = [float(x) for _, x, _ in places], [float(y) for _, _, y in places]
    assert xs[0] + xs[1] == pytest.approx(xs[2] + xs[3], abs=0.2)  # both models are centred
    assert xs[2] < xs[0] < xs[1] < xs[3]
    assert ys[3] < ys[1] < ys[0] < ys[2]  # y grows downwards
    assert [bool(chosen) for chosen, _, _ in places] == [False, True, False, False]
    assert HOSTILE not in html


def test_one_model_or_nothing_measured_has_no_chart():
    assert overlay_chart("x", {"vit": MODELS["vit"]}, ("vit", "block_01")) == ""
    assert overlay_chart("x", {"a": [("l", None)], "b": [("l", None)]}, ("a", "l")) == ""


def test_a_point_leads_to_its_model_and_layer(choices):
    first = choices.first()
    assert choices.choose(first, "place", f"{first.model}|block_03").layer == "block_03"
    for value in ("x|block_03", first.model, f"{first.model}|x"):
        with pytest.raises(InputError):
            choices.choose(first, "place", value)
