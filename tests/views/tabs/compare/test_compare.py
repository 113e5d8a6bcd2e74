"""The Compare view shows a comparison document, and believes nothing of it that does not fit."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.comparison import ComparisonReader, Pair
from hsae.errors import InputError
from hsae.views.page.desk import Desk
from hsae.views.page.models import Models
from hsae.views.page.photos import Photos
from hsae.views.page.state import Choices
from hsae.views.tabs.compare.compare import chosen_pair, heat_html, matched_html, pairs_html
from hsae.views.tabs.compare.concepts import concepts_html, side_by_side_html
from tests.views.conftest import HOSTILE, LAYERS, N, artifact_with

CAT, CARNIVORE = "n02121808", "n02075296"


def cell(partner: float, within: float) -> dict:
    return {"overlap20": {"partner": partner, "chance": {"within_classes": {"partner": within}}}}


DOCUMENT = {
    "a": {"name": HOSTILE, "layers": list(LAYERS)},
    "b": {"name": "cnn", "layers": ["stage_1", "stage_2"]},
    "n_images": 100,
    "rule": {"score": "overlap20", "k": 20, "level": 0.99, "concept_f1": 0.5},
    "pairs": [[cell(0.1, 0.01), cell(0.2, 0.02)], [cell(0.3, 0.01), cell(0.5, 0.02)], [cell(0, 0), cell(0.05, 0.01)]],
    "strongest": [[["1 7 13 1", "2 5 11 0"], []], [[], ["2 7 9 0"]], [[], []]],
    "partners": {"a": {"block_01": ["1 0 7 13 1", "2 1 5 11 0"]}, "b": {}},
    "concepts": {
        "columns": ["node", "height", "leaf_count", "a_first", "a_f1", "b_first", "b_f1"],
        "rows": [
            [CAT, 1, 2, "block_02", 0.75, "stage_2", 1],
            [CARNIVORE, 4, 3, None, None, "stage_1", 0.5],
            ["n04285008", 0, 1, "block_03", 0.9, None, None],
        ],
        "counts": {"a": 2, "b": 2, "both": 1, "chance": 0.4},
    },
    "side_by_side": {"columns": ["model", "layer", "dead"], "rows": [["vit", "block_01", 0.25]]},
    "latents_b": {
        "photos": ["animals/dog", "food/lemon", HOSTILE],
        "layers": {"stage_1": [f"7 {CAT} 1 0 2", "5 -"]},
    },
}


def reader(**changes) -> ComparisonReader:
    return ComparisonReader(DOCUMENT | changes, dict.fromkeys(LAYERS, N))


@pytest.fixture
def compared(artifact: Artifact) -> Desk:
    """A desk on the same artifact with the document."""
    with_document = artifact_with(artifact, extras={"comparison": DOCUMENT})
    return Desk(Models([with_document]), Photos())


def test_what_the_document_says():
    read = reader()
    assert read.names == (HOSTILE, "cnn")
    assert read.share("block_02", "stage_2") == (0.5, 0.02)
    assert read.strongest("block_01", "stage_1") == [
        Pair(1, "stage_1", 7, 13, True), Pair(2, "stage_1", 5, 11, False),
    ]  # fmt: skip
    assert read.partner("block_01", 2) == Pair(2, "stage_2", 5, 11, False)
    assert read.partner("block_01", 3) is None
    assert (read.other("stage_1", 7).node, read.other("stage_1", 7).photos[:2]) == (CAT, ("food/lemon", "animals/dog"))
    assert read.other("stage_1", 5).node is None
    assert read.counts()["chance"] == 0.4


@pytest.mark.parametrize(
    "changes",
    [
        {"pairs": 3}, {"pairs": [[{"overlap20": {"partner": 7}}]]}, {"partners": []},
        {"strongest": [[["1 7 13", "a b c d", None, "99 1 1 1"]]]}, {"latents_b": {"photos": 3, "layers": 4}},
        {"partners": {"a": {"block_01": ["1 9 7 13 1", 5]}}},
        {"rule": {"score": [], "k": -1}}, {"concepts": {"columns": ["node"], "rows": [[[]], 3, [1, 2]]}},
        {"b": {"name": None, "layers": "ab"}}, {"a": []}, {"side_by_side": {"columns": ["dead"], "rows": [[{}]]}},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_left_out(changes):
    read = reader(**changes)
    html = heat_html(read, ("block_01", "stage_1")) + concepts_html(read) + side_by_side_html(read)
    assert HOSTILE not in html
    assert read.strongest("block_01", "stage_1") in ([], reader().strongest("block_01", "stage_1"))
    assert read.k > 0
    assert read.other("stage_1", 7) is not None
    found = read.partner("block_01", 1)
    assert found is None or found.layer in read.layers[1]


def test_the_heatmap_has_a_cell_a_pair_of_layers():
    html = heat_html(reader(), ("block_02", "stage_2"))
    assert re.findall(r'data-value="([^"]+)" aria-pressed="true"', html) == ["block_02:stage_2"]
    assert html.count('data-field="pair"') == 6
    assert "50 %" in html
    assert "1.2 %" in html  # by class alone, on average
    assert HOSTILE not in html


def test_pairs_show_both_sides(compared):
    model = compared.models["unsaved"]
    html = pairs_html(model, model.comparison, ("block_01", "stage_1"))
    assert "13 of 20 ⇄" in html
    assert "11 of 20<" in html
    assert 'data-value="block_01:1"' in html
    assert "domestic cat" in html
    assert "has a partner" in pairs_html(model, model.comparison, ("block_03", "stage_1"))


def test_a_card_names_the_partner_or_says_there_is_none(compared, desk):
    model = compared.models["unsaved"]
    assert "13 of their 20 strongest images, and each is the other" in matched_html(model, "block_01", 1)
    assert "No feature there shares" in matched_html(model, "block_01", 3)
    assert matched_html(desk.models["unsaved"], "block_01", 1) == ""


def test_concepts_are_in_both_or_in_one():
    text = re.sub(r"<[^>]+>", " ", concepts_html(reader(a={"name": "vit", "layers": list(LAYERS)})))
    assert re.search(r"Both: 1 nodes of two or more classes, 0 single classes", text)
    assert re.search(r"Only vit: 0 nodes of two or more classes, 1 single", text)
    assert re.search(r"Only cnn: 1 nodes .* carnivore", text)
    assert "By chance 0.4" in text
    assert "0.25" in side_by_side_html(reader())


def test_a_pair_is_chosen_by_click_or_is_the_best_of_the_layer(compared):
    choices = Choices(compared.models, compared.photos)
    first = replace(choices.first(), layer="block_02")
    read = compared.models["unsaved"].comparison
    assert chosen_pair(read, first) == ("block_02", "stage_2")
    chosen = choices.choose(first, "pair", "block_01:stage_1")
    assert (chosen.view, chosen_pair(read, chosen)) == ("compare", ("block_01", "stage_1"))
    assert choices.choose(chosen, "layer", "block_03").pair == ""
    for value in ("block_01", "block_01:x", "x:stage_1", ""):
        with pytest.raises(InputError, match="pair"):
            choices.choose(first, "pair", value)


def test_without_a_comparison_the_view_says_how_to_make_one(desk, choices):
    from hsae.views.tabs.compare.compare import _heat

    assert "python -m hsae compare" in _heat(desk, replace(choices.first(), view="compare"))
    with pytest.raises(InputError, match="pair"):
        choices.choose(choices.first(), "pair", "block_01:stage_1")
