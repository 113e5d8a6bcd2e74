"""The scatter and the densities show the features they are given, and what chance would give."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from hsae.hierarchy import Taxonomy
from hsae.views.tabs.hierarchy.scatter import densities, density_html, scatter_payload, scatter_points
from tests.views.conftest import CLASSES, latents


def test_only_features_of_two_classes_have_a_point():
    assert sorted(scatter_points(latents()).index) == [1, 2]
    assert scatter_payload(latents().iloc[:1], None) == {
        "points": [], "words": {}, "selected": None, "lineages": [],
    }  # fmt: skip


def test_the_payload_is_json_with_the_tables_numbers():
    payload = scatter_payload(latents(), 2)
    assert json.loads(json.dumps(payload)) == payload
    assert payload["selected"] == 2
    assert payload["words"] == {"1": "domestic cat", "4": "carnivore"}
    assert [2, 4, pytest.approx(0.6667), 0.02, "carnivore", None, 0] in payload["points"]
    tested = scatter_payload(latents().assign(q_value=0.01), 2)
    assert all(point[5] is True for point in tested["points"])


def test_no_latents_at_all_make_an_empty_figure():
    empty = latents().iloc[:0]
    assert scatter_payload(empty, None)["points"] == []


def test_the_search_knows_every_word_for_what_is_above_a_feature():
    payload = scatter_payload(latents(), None)
    cats = next(point for point in payload["points"] if point[0] == 1)
    lineage = payload["lineages"][cats[6]]
    for word in ("domestic cat", "house cat", "feline", "mammal", "animal"):
        assert word in lineage
    assert "dog" not in lineage


def test_densities_count_every_feature_and_as_many_by_chance():
    found = densities({"block_01": latents(), "block_02": latents().iloc[:2]}, Taxonomy(CLASSES))
    counts, expected = found["block_01"]
    assert counts.sum() == 2
    assert expected.sum() == pytest.approx(2)
    assert counts[1, -1] == 1  # the cats: height 1, coverage 1
    assert counts[4, 13] == 1  # two of the three carnivores, between 65 % and 70 %
    assert found["block_02"][0].sum() == 1


def test_a_density_has_a_panel_a_layer_and_a_cell_where_features_are():
    found = densities({"block_01": latents(), "block_02": latents().iloc[:1]}, Taxonomy(CLASSES))
    html = density_html(found, "block_02")
    assert html.count("data-field") == 2
    assert html.count(" fill=") == 2
    assert re.findall(r'data-value="(\w+)" aria-pressed="true"', html) == ["block_02"]
    assert density_html({"block_02": found["block_02"]}, "block_02") == ""


def test_where_chance_puts_features_is_outlined():
    many, none = np.zeros((3, 4)), np.zeros((3, 4))
    many[2, 1], none[0, 0] = 5, 1
    assert density_html({"a": (none, many)}, "a").count('class="chance"') == 1
    assert density_html({"a": (none, many / 100)}, "a").count('class="chance"') == 0
