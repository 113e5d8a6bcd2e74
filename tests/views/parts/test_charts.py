"""Figures show the numbers they are given."""

from __future__ import annotations

import re

import numpy as np
import pytest
from PIL import Image

from hsae.relevancy import RelevancyMap
from hsae.views.parts.charts import (
    cell_css,
    colours,
    heat_image,
    image_uri,
    is_signed,
    line_chart,
    nice_top,
    square_marked,
    strongest_place,
)
from tests.views.conftest import HOSTILE


def relevancy(values) -> RelevancyMap:
    return RelevancyMap(np.array(values, np.float32), "gradient_rollout", "block_01", 1.0)


@pytest.mark.parametrize(
    ("values", "top"),
    [([0.3], 0.5), ([17.3, 2], 20), ([1.0], 1), ([2.1], 2.5), ([0, 0], 1), ([0.1 + 0.2 - 0.3], 1e-16)],
)
def test_axes_end_at_a_round_number(values, top):
    assert nice_top(values) == pytest.approx(top)


def test_a_curve_is_drawn_where_its_values_are():
    html = line_chart("t", ["block_01", "block_02"], {"a": [0.0, 1.0]}, "block_02", top=1.0)
    heights = [float(y) for y in re.findall(r'cy="([\d.]+)"', html)]
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', html)]
    assert heights == [166.0, 12.0]  # bottom and top of the plot
    assert places == [137.0, 319.0]  # middles of the two halves of 46 .. 410
    assert html.count('data-field="layer"') == 2
    assert 'data-value="block_02"' in html


def test_a_missing_value_leaves_a_gap_and_no_values_say_so():
    html = line_chart("t", ["a", "b", "c"], {"s": [0.5, None, 0.5]}, "a")
    assert html.count("<circle") == 2
    assert "b: s –" in html
    assert "not measured" in line_chart("t", ["a"], {"s": [None]}, "a")


def test_chart_text_is_escaped():
    html = line_chart(HOSTILE, [HOSTILE], {HOSTILE: [1.0], "b": [0.5]}, HOSTILE)
    assert "<script" not in html


def test_strength_runs_from_dark_to_bright_and_change_is_white_in_the_middle():
    strength = colours(np.linspace(0, 1, 20), signed=False).sum(-1)
    assert (np.diff(strength.astype(int)) > 0).all()
    assert colours(np.array(0.0), signed=True).min() > 240
    below, above = colours(np.array([-1.0, 1.0]), signed=True).astype(int)
    assert below[2] > below[0]
    assert above[0] > above[2]
    assert (colours(np.array([5.0]), signed=False) == colours(np.array([1.0]), signed=False)).all()


def test_heat_is_brightest_where_the_map_is_largest():
    pixels = np.asarray(heat_image(relevancy([[0, 0], [0, 1]]), 64)).sum(-1)
    assert pixels[-8:, -8:].mean() > 2 * pixels[:8, :8].mean()
    assert is_signed(relevancy([[0, -1]]))
    assert not is_signed(relevancy([[0, 1]]))


@pytest.mark.parametrize(("at", "words"), [((0, 0), "top left"), ((2, 3), "middle centre"), ((5, 5), "bottom right")])
def test_the_strongest_place_in_words(at, words):
    values = np.zeros((6, 6))
    values[at] = 1
    assert strongest_place(values) == words


def test_only_the_chosen_square_stays_as_it_is():
    image = Image.new("RGB", (40, 20), (250, 10, 10))
    marked = np.asarray(square_marked(image, (10, 0, 30, 20)))
    assert (marked[:, 10:30] == [250, 10, 10]).all()
    assert (marked[:, :10] != [250, 10, 10]).any(-1).all()
    square = Image.new("RGB", (20, 20), "red")
    assert (np.asarray(square_marked(square, (0, 0, 20, 20))) == np.asarray(square)).all()


def test_an_image_becomes_a_data_uri_that_decodes_again():
    import base64
    from io import BytesIO

    head, data = image_uri(Image.new("RGB", (8, 6), "blue"), "PNG").split(",")
    assert head == "data:image/png;base64"
    assert Image.open(BytesIO(base64.b64decode(data))).size == (8, 6)


@pytest.mark.parametrize("share", np.linspace(0, 1, 21))
def test_the_ink_of_a_cell_is_readable(share):
    *rgb, ink = re.fullmatch(r"--cell:rgb\((\d+) (\d+) (\d+)\);--ink:(#\w+)", cell_css(share)).groups()
    linear = [((int(c) / 255 + 0.055) / 1.055) ** 2.4 if int(c) > 10 else int(c) / 255 / 12.92 for c in rgb]
    bright = np.dot(linear, [0.2126, 0.7152, 0.0722])
    assert (1.05 / (bright + 0.05) if ink == "#fff" else (bright + 0.05) / 0.05) >= 4.5
