"""What each view says about an artifact, a photograph and an edit."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from hsae.relevancy import RelevancyMap
from hsae.steering.classification import SteeringResult
from hsae.views.page import photo
from hsae.views.page.bar import strip_html
from hsae.views.page.desk import has_name
from hsae.views.parts.charts import line_chart
from hsae.views.tabs.concept import concept
from hsae.views.tabs.feature import card
from hsae.views.tabs.hierarchy import hierarchy
from hsae.views.tabs.layers import layers
from hsae.views.tabs.relevancy import relevancy
from hsae.views.tabs.relevancy.colours import Marked, tints_html
from hsae.views.tabs.relevancy.explained import Explained
from hsae.views.tabs.relevancy.overlay import legend_html, overlay_html
from hsae.views.tabs.steer import result as steer_result
from hsae.views.tabs.steer.result import branches, top_changes
from tests.views.conftest import CLASSES, HOSTILE, LAYERS, latents


def row(latent: int) -> pd.Series:
    return latents().iloc[latent]


def result(before, after, **more) -> SteeringResult:
    values = {
        "classes": CLASSES, "logits_before": np.log(before), "logits_after": np.log(after),
        "probabilities_before": np.array(before), "probabilities_after": np.array(after), "changes": (),
        "delta_norm_ratio": 0.25, "off_distribution": (), "reaches_classifier": True,
    }  # fmt: skip
    return SteeringResult(**(values | more))


def test_the_strip_is_brightest_where_the_probe_is_best():
    html = strip_html({"block_01": 0.1, "block_02": 0.9, "block_03": None}, "block_02", "<b>")
    cells = [sum(map(int, cell)) for cell in re.findall(r"--cell:rgb\((\d+) (\d+) (\d+)\)", html)]
    assert cells[1] > cells[0] >= cells[2]
    assert html.count('aria-pressed="true"') == 1
    assert "<b>," not in html  # what an artifact says is text
    assert strip_html({"a": None}, "a", "net").count("<button") == 1


def test_the_layers_tab_shows_what_was_measured_and_says_what_was_not():
    html = layers.layers_html(LAYERS, {name: {"acc1_x": 0.5, "fvu": 0.25, "dead": None} for name in LAYERS}, LAYERS[0])
    assert html.count("50 %") == 3
    assert "not measured" in html
    assert "median" not in html
    assert layers.layers_html(LAYERS, {}, LAYERS[0]).count("not measured") == 7


def test_the_words_under_the_scatter_count_every_feature_once():
    text = hierarchy.words_html(latents(), "block_02")
    assert [int(n) for n in re.findall(r"(\d+)(?:</b>)? (?:features of|of exactly|without|that fire on no)", text)] == [
        2,
        1,
        20,
        1,
    ]
    assert "Try a later layer" in hierarchy.words_html(latents().iloc[3:], "block_02")


def test_the_table_lists_the_points_of_the_scatter():
    twin = hierarchy.twin(latents())
    assert twin["no."].tolist() == [1, 2]
    assert twin["coverage, %"].tolist() == [100, 67]
    assert twin["classes meet in"].tolist() == ["domestic cat", "carnivore"]


def test_every_feature_is_in_one_table():
    kinds = [hierarchy.twin(latents(), kind)["no."].tolist() for kind in hierarchy.KINDS]
    assert kinds[:2] == [[1, 2], [3]]
    assert kinds[3] == [0]
    assert sorted(latent for kind in kinds for latent in kind) == list(range(24))
    assert kinds[2][0] == 23  # the most frequent first
    with pytest.raises(InputError, match="one of two or more"):
        hierarchy.twin(latents(), "x")


def test_the_features_of_a_photo_are_listed_by_layer():
    shown = latents().iloc[[2, 3]].assign(latent=[2, 3], strength=0.5, activation=1.0)
    html = layers.fires_html({"block_01": shown, "block_02": shown.iloc[:0]}, "block_02")
    assert re.findall(r'data-field="feature" data-value="([^"]+)"', html) == ["block_01:2", "block_01:3"]
    assert "67 %" in html
    assert re.findall(r'data-value="(\w+)" aria-pressed="true"', html) == ["block_02"]


def test_a_card_says_why_the_feature_has_its_name():
    html = card.head_html(row(2), 2, "block_02", tau=0.5)
    assert "2 classes belong to it" in html
    assert "67 % of the classes below" in html
    assert "never fired" in card.evidence_html(row(0))
    assert "no class belongs to it" in card.evidence_html(row(7))
    assert "One class belongs" in card.evidence_html(row(3))
    assert "no more than chance would give (p = 0.01, q = 0.2, the expected share of false" in card.evidence_html(
        row(2).fillna({"p_value": 0.01, "q_value": 0.2})
    )
    assert "; more than chance" in card.evidence_html(row(2).fillna({"p_value": 0.01, "q_value": 0.02}))


def test_hostile_labels_are_text_in_every_view():
    active = pd.DataFrame([row(1)]).assign(latent=1, activation=1.0, strength=0.5)
    found = RelevancyMap(np.ones((2, 2)), "x", "block_02", 1.0)
    pieces = [
        card.head_html(row(1), 1, "block_02"),
        photo.active_html(active, "block_02", 1),
        overlay_html(Image.new("RGB", (9, 9)), Explained(HOSTILE, "feature", "", lambda: found, lambda: None)),
        tints_html("data:,", [Marked(("feature", 1), HOSTILE, found, "")] * 2),
        line_chart("a chart", LAYERS, {HOSTILE: [0.1, 0.2, 0.3], "other": [0.1, 0.2, 0.3]}, LAYERS[0]),
        photo.classes_html(pd.DataFrame({"wnid": [CLASSES[0]], "name": [HOSTILE], "probability": [1.0]}), HOSTILE, 4),
    ]
    for html in pieces:
        assert "<script" not in html
        assert "&lt;script" in html


def test_active_features_have_names_strengths_and_the_chosen_one_is_marked(desk, choices):
    selection = choices.choose(choices.first(), "layer", "block_03")
    active = desk.active(selection)
    names = has_name(active)
    assert names.any()
    assert (names[:-1] >= names[1:]).all()  # named ones first
    assert desk.focus(selection) == active["latent"].iloc[0]
    html = photo.active_html(active, "block_03", desk.focus(selection))
    assert html.count('aria-pressed="true"') == 1
    assert html.count('data-field="latent"') == min(len(active), 10)


def test_without_a_photo_the_views_still_have_a_feature(desk, choices):
    selection = replace(choices.first(), image="")
    assert desk.focus(selection) == 2  # of the two widest the one that fires more often
    with pytest.raises(InputError, match="no photo"):
        desk.active(selection)


def test_a_branch_is_never_less_likely_than_the_class_below_it(desk, choices):
    html = concept._curve(desk, choices.first())
    curves = [[float(y) for y in re.findall(r'cy="([\d.]+)"', part)] for part in html.split("<polyline")[1:]]
    assert len(curves) >= 2
    for below, above in pairwise(curves):
        assert all(high <= low + 0.1 for low, high in zip(below, above, strict=True))  # y grows downwards


def test_the_legend_has_the_maps_own_numbers():
    values = np.zeros((10, 10), np.float32)
    values[0, 0], values[0, 1] = 8.0, 4.0
    found = RelevancyMap(values, "gradient_rollout", "block_02", 1.0)
    html = legend_html(found)
    assert f"{found.limit:.3g}" in html
    assert "strongest patch has 8" in html
    assert "−" not in html
    assert "-4<" in legend_html(RelevancyMap(np.array([[-4.0, 4.0]]), "x", "b", 1.0))


def test_a_silent_feature_gets_a_sentence_and_an_active_one_a_map(desk, choices):
    selection = replace(choices.first(), view="relevancy")
    silent = next(n for n in range(1, 24) if n not in set(desk.active(selection)["latent"]))
    told = relevancy._render(desk, replace(selection, latent=silent))[0]
    assert "is not active" in told
    assert 'data-of="feature"' not in told
    assert 'data-of="concept"' in told
    html, method = relevancy._render(desk, selection)
    assert "is not active" not in html
    assert html.count('alt="Heat map of') == html.count('data-of="') >= 2
    assert 'data-of="feature"' in html
    assert method.value == "attn_lrp"
    assert "grad_cam" in [name for _, name in method.choices]


def test_chosen_patches_are_told_how_much_they_hold():
    found = RelevancyMap(np.array([[3.0, 1.0], [0.0, -5.0]], np.float32), "x", "b", 1.0)
    html = relevancy.share_html({"dog": found, HOSTILE: RelevancyMap(-found.values, "x", "b", 1.0)}, (0, 3))
    assert "The 2 chosen patches are 50 % of the picture and hold <b>75 %</b> of “dog”, <b>100 %</b> of “&lt;" in html
    assert "The chosen patch is 25 % of the picture and holds <b>25 %</b>" in relevancy.share_html({"dog": found}, (1,))
    assert "of “dog”" in relevancy.share_html({"dog": found}, (1, 99)), "a patch that there is not holds nothing"
    assert "Choose patches" in relevancy.share_html({"dog": found}, ())


def test_gains_come_first_and_losses_last():
    before, after = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0.1, 0.35, 0.2, 0.35])
    assert top_changes(before, after) == [3, 1, 0]
    assert top_changes(before, after, top=1) == [3, 0]
    assert top_changes(before, before, top=2) == [0, 1]
    assert top_changes(before, np.add(before, [0.01, 1e-5, 0, -0.01])) == [0, 3]


def test_branches_that_repeat_a_tighter_one_are_left_out():
    taxonomy = Taxonomy(CLASSES)
    found = branches(result([0.25] * 4, [0.45, 0.25, 0.25, 0.05]).mass_changes(taxonomy), taxonomy)
    assert found == {"n01317541": pytest.approx(0.2)}  # domestic animal: chihuahua and tabby; those above say the same


def test_the_result_says_how_large_the_push_is_or_that_it_is_in_vain():
    taxonomy = Taxonomy(CLASSES)
    html = steer_result.result_html(
        result([0.4, 0.3, 0.2, 0.1], [0.1, 0.3, 0.2, 0.4]), taxonomy, "block_02", moved=True
    )
    assert "25 % of its length" in html
    assert "+30.0" in html
    assert "−30.0" in html
    assert "40 % → 10 %" in html
    vain = result([0.25] * 4, [0.25] * 4, reaches_classifier=False)
    assert "earlier layer" in steer_result.result_html(vain, taxonomy, "block_02", moved=True)
