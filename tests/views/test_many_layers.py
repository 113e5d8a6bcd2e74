"""A model of forty layers: every one of them can be reached, and what is written does not overlap."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from PIL import Image

from hsae.artifacts.documents.comparison import ComparisonReader
from hsae.views.page.bar import strip_html
from hsae.views.parts.charts import line_chart, log_chart
from hsae.views.tabs.compare.compare import heat_html
from hsae.views.tabs.concept.film import Film, film_html
from hsae.views.tabs.layers.layers import layers_html

LAYERS = [f"block_{at:02d}" for at in range(1, 41)]


def chosen(html: str) -> list[str]:
    return re.findall(r'data-field="layer" data-value="([^"]+)"', html)


def labels(html: str) -> list[float]:
    """Where the labels of the layers stand."""
    return sorted(float(x) for x in re.findall(r'<text x="([0-9.]+)" y="184" text-anchor="middle"', html))


@pytest.mark.parametrize("selected", ["block_01", "block_18", "block_40", "elsewhere"])
@pytest.mark.parametrize("chart", [line_chart, log_chart])
def test_charts_reach_all_and_label_those_there_is_room_for(chart, selected):
    html = chart("a chart", LAYERS, {"x": [0.001 * (at + 1) for at in range(40)]}, selected)
    assert chosen(html) == LAYERS
    places = labels(html)
    assert len(places) > 8
    assert min(b - a for a, b in pairwise(places)) >= 18
    if selected in LAYERS:
        assert f">{selected[-2:]}</text>" in html


def test_a_logarithmic_chart_says_the_values_and_leaves_gaps():
    html = log_chart("a chart", LAYERS[:3], {"x": [1e-5, None, 0.0]}, LAYERS[0])
    assert "x 1e-05" in html
    assert html.count("<circle") == 1
    assert "not measured" in log_chart("a chart", LAYERS[:1], {"x": [0.0]}, LAYERS[0])


def test_film_strip_and_numbers_have_every_layer():
    film = film_html(Film(Image.new("RGB", (8, 8)), "dog", dict.fromkeys(LAYERS, 0.5)), "block_07")
    assert chosen(film) == chosen(strip_html(dict.fromkeys(LAYERS, 0.5), "block_07", "net")) == LAYERS
    assert "--frame:8.33%" in film  # as wide as of twelve: the others are a swipe away
    table = layers_html(LAYERS, {layer: {"fvu": 0.1} for layer in LAYERS}, "block_07").rpartition("<table")[2]
    assert chosen(table) == LAYERS


def test_a_large_heatmap_has_no_numbers_in_its_cells_but_says_them():
    document = {
        "a": {"name": "one", "layers": LAYERS}, "b": {"name": "two", "layers": LAYERS},
        "rule": {"score": "overlap20", "k": 20},
        "pairs": [[{"overlap20": {"partner": 0.25}} for _ in LAYERS] for _ in LAYERS],
    }  # fmt: skip
    html = heat_html(ComparisonReader(document, dict.fromkeys(LAYERS, 4)), ("block_01", "block_02"))
    assert html.count('data-field="pair"') == 1600
    assert "dense" in html
    assert "block_40 × block_40: 25 % have a partner" in html
    small = {**document, "b": {"name": "two", "layers": LAYERS[:4]}}
    assert "dense" not in heat_html(ComparisonReader(small, dict.fromkeys(LAYERS, 4)), ("block_01", "block_02"))
