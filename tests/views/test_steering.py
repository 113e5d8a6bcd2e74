"""The Steer view: sliders, scope, panes, presets and what a visitor takes home."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace

import gradio as gr
import numpy as np
import pandas as pd
import pytest

from hsae.artifacts.documents.steerable import Found
from hsae.data.samples import load_samples
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, wordnet
from hsae.steering.edits import Edit
from hsae.steering.turning import Moved, Turn
from hsae.views.page.edit_text import SLIDERS, Steps
from hsae.views.parts.patches import grid_of, grid_payload
from hsae.views.parts.view import View
from hsae.views.tabs.steer import dial, steer
from hsae.views.tabs.steer import panes as steer_panes
from hsae.views.tabs.steer.presets import UNMEASURED, Preset, preset_html, presets_of
from hsae.views.tabs.steer.result import control_html, downstream_html, result_html
from hsae.views.tabs.steer.verdict import judged, verdict_html
from tests.views.conftest import CLASSES, HOSTILE
from tests.views.page.test_page import page_over
from tests.views.test_tabs import result

DOG, CAT, CAR = "n02084071", "n02121808", "n04285008"


@pytest.fixture
def selection(choices):
    return replace(choices.first(), view="steer")


def test_no_edit_changes_nothing_and_up_and_down_differ(desk, selection):
    still = steer_panes.pane_html(desk, selection)
    assert "Nothing is changed" in still
    assert "hsae-signed gain" not in still
    latent = steer_panes.steered(desk, selection)[0]
    up, down = (steer_panes.pane_html(desk, replace(selection, edit=f"{latent}~{a}")) for a in (3, -3))
    assert "hsae-signed gain" in up
    assert "hsae-signed loss" in up
    assert up != down


def test_sliders_stay_where_they_are_while_they_move(desk, selection):
    usual = steer_panes.steered(desk, selection)
    assert 0 < len(usual) <= SLIDERS
    moved = replace(selection, edit=steer.moved(desk, selection, (0, 1.5, 0, -1)))
    assert moved.edit == f"{usual[1]}~1.5_{usual[3]}~-1"
    assert steer_panes.steered(desk, moved) == usual
    _, *sliders = steer._sliders(desk, moved)
    assert [slider.value for slider in sliders][:4] == [0, 1.5, 0, -1]
    assert [slider.visible for slider in sliders] == [at < len(usual) for at in range(SLIDERS)]


def test_an_edited_feature_always_has_a_slider(desk, selection):
    usual = steer_panes.steered(desk, selection)
    others = [latent for latent in range(1, 24) if latent not in usual][:SLIDERS]
    text = "_".join(f"{latent}~1" for latent in others)
    shown = steer_panes.steered(desk, replace(selection, edit=text))
    assert set(others) <= set(shown)
    assert len(shown) <= SLIDERS


@pytest.mark.parametrize("amount", [4.0, float("nan"), float("inf"), None, "1"])
def test_amounts_beyond_the_sliders_are_refused(desk, selection, amount):
    with pytest.raises(InputError, match="amounts"):
        steer.moved(desk, selection, (amount, 0, 0))


def test_every_pane_answers_with_and_without_an_edit(desk, selection, monkeypatch):
    near = pd.DataFrame(
        {"before": ["animals/dog"], "before_cosine": [0.9], "after": ["food/lemon"], "after_cosine": [0.8]}
    )
    monkeypatch.setattr(type(desk.session(selection)), "nearest", lambda *_, **__: near)  # 521 forward passes
    latent = steer_panes.steered(desk, selection)[0]
    for shows in steer_panes.PANES:
        for edit in ("", f"{latent}~2"):
            assert "<" in steer_panes.pane_html(desk, replace(selection, shows=shows, edit=edit))
    control = steer_panes.pane_html(desk, replace(selection, shows="control", edit=f"{latent}~2"))
    assert "random direction" in control


def test_chosen_patches_are_what_is_pushed(desk, selection):
    latent = steer_panes.steered(desk, selection)[0]
    chosen = replace(selection, scope="chosen", patches="0.3", edit=f"{latent}~2", layer="block_01")
    assert steer_panes.edit_of(desk, chosen).scope == (0, 3)
    assert "length" in steer_panes.pane_html(desk, chosen)
    with pytest.raises(InputError, match="no patch"):
        steer_panes.pane_html(desk, replace(chosen, patches=""))
    with pytest.raises(InputError, match="patch"):
        steer_panes.pane_html(desk, replace(chosen, patches="99"))


def test_the_grid_shows_the_models_patches(desk, selection):
    rows, cols = grid_of(desk, selection)
    payload = grid_payload(desk, replace(selection, patches=f"0.{rows * cols}"))
    assert (payload["rows"], payload["cols"], payload["chosen"]) == (rows, cols, [0])
    assert payload["photo"].startswith("data:image/jpeg;base64,")


def test_what_a_visitor_takes_home_is_the_edit(desk, selection):
    latent = steer_panes.steered(desk, selection)[0]
    html = steer._export(desk, replace(selection, edit=f"{latent}~2"))
    data = re.search(r"base64,([^\"]+)", html)[1]
    edit = Edit.from_json(base64.b64decode(data).decode())
    assert [(op.latent, op.amount) for op in edit.ops] == [(latent, 2)]
    assert "hsae.Session(" in html
    assert json.loads(edit.to_json())["sha"] == desk.model(selection).artifact.sha256


def turning(desk, choices, less: str = ""):
    """The Steer view at the last layer, with cats for a concept."""
    return replace(choices.first(), view="steer", layer="block_03", concept=CAT, less=less)


def test_the_dial_makes_an_edit_stands_where_it_made_it_and_goes_both_ways(desk, choices):
    there = turning(desk, choices)
    edits = {amount: dial.dialled(desk, there, [amount]) for amount in (2, -2, 0)}
    assert edits[0] == ""
    assert edits[2] != edits[-2]
    for amount, edit in edits.items():
        assert dial.position(desk, replace(there, edit=edit)) == amount
    assert dial.position(desk, replace(there, edit="1~0.5_2~-1")) == 0
    cats = desk.session(there).node_probabilities([CAT])[CAT]["block_03"]
    for amount in (2, -2):
        result = desk.session(there).steer(steer_panes.edit_of(desk, replace(there, edit=edits[amount])), 0)
        assert np.sign(desk.session(there).moved(CAT, result).after - cats) == np.sign(amount)


def test_with_a_second_concept_left_and_right_are_more_of_either(desk, choices):
    there = turning(desk, choices, less=CAR)
    assert dial.turn_of(desk, there, 1.0) == Turn(CAT, CAR)
    assert dial.turn_of(desk, there, -1.0) == Turn(CAR, CAT)
    assert dial.turn_of(desk, replace(there, less=""), -1.0) == Turn(less=CAT)
    _, slider, more, less = dial.dial_values(desk, there)
    assert "more sports car" in slider.label
    assert (more.value, less.value) == (CAT, CAR)
    assert CAT not in [node for _, node in less.choices]


@pytest.mark.parametrize("amount", [4.0, float("nan"), None, "1", True])
def test_a_dial_beyond_its_ends_is_refused(desk, choices, amount):
    with pytest.raises(InputError, match="dial"):
        dial.dialled(desk, turning(desk, choices), [amount])


def test_a_click_on_steer_goes_where_turning_works_and_a_link_stays(desk, choices, monkeypatch):
    there = replace(choices.first(), layer="block_01", concept=CAT)
    assert choices.click(there, "view", "steer").layer == "block_03"
    found = Found(Turn(more=CAT), "block_02", 1.0, 9, 10, {CAT: Moved(0, 1, 0, 0)})
    monkeypatch.setitem(vars(desk.model(there)), "turns", {found.turn: found})
    assert choices.click(there, "view", "steer").layer == "block_02"
    assert choices.click(replace(there, latent=2), "view", "steer").layer == "block_01"
    assert choices.from_query({"layer": "block_01", "view": "steer"})[0].layer == "block_01"
    assert "into 9 of 10" in dial.note_html(desk.model(there), CAT, "block_01")
    assert 'data-value="block_02"' in dial.note_html(desk.model(there), CAT, "block_01")
    assert "not measured" in dial.note_html(desk.model(there), CAR, "block_03")


def test_presets_are_turns_that_held_and_say_how_often(desk, choices, selection, monkeypatch):
    moved = {CAT: Moved(0, 1, 0, 0), DOG: Moved(1, 0, 1, 1)}
    kept = Found(Turn(CAT, DOG), "block_03", 1.0, 8, 10, moved, "photos/farm/dog")
    rows = [kept, Found(Turn(DOG, CAT), "block_03", 1.0, 7, 10, moved, "photos/farm/dog"),
            Found(Turn(less=DOG), "block_03", 1.0, 10, 10, moved)]  # fmt: skip
    model = desk.model(selection)
    monkeypatch.setitem(vars(model), "turns", {row.turn: row for row in rows})
    (preset,) = presets_of(model)
    assert preset.title == "Make the dog a domestic cat"
    assert "held on 8 of 10 other photos" in preset_html(desk, selection)
    chosen = choices.choose(selection, "preset", preset.value)
    assert (chosen.image, chosen.layer, chosen.concept, chosen.less) == ("photos/farm/dog", "block_03", CAT, DOG)
    assert dial.position(desk, chosen) == 1.0
    assert 'aria-pressed="true"' in preset_html(desk, chosen)
    assert 'aria-pressed="true"' not in preset_html(desk, replace(chosen, edit=""))
    assert "brought" in steer_panes.pane_html(desk, chosen) or "stays" in steer_panes.pane_html(desk, chosen)


def test_a_preset_that_only_takes_turns_the_dial_to_the_left():
    assert Preset("x", "", DOG, "block_03", 2.0).value == f"x|block_03|{DOG}||-2"
    assert Preset("x", "", DOG, "block_03").title == "Take the dog out"


def test_unmeasured_presets_are_natural_photographs_that_show_what_is_taken():
    names = {sample.key: sample.wnid for sample in load_samples("starter:photos")}
    for photo, _, less in UNMEASURED:
        assert less in {names[photo], *wordnet().ancestors(names[photo])}


def test_bars_stand_beside_each_other_and_bringing_and_taking_are_judged_apart():
    good, vain = Moved(0.01, 0.75, 0.0, 0.02), Moved(0.01, 0.75, 0.6, 0.0)
    html = verdict_html({DOG: good, CAT: Moved(0.9, 0.2, 0.9, 0.9)})
    assert re.findall(r"<b>([\d.]+ %)</b>", html)[:4] == ["1.0 %", "75 %", "0 %", "2.0 %"]
    assert "brought" in judged("dog", good)
    assert "taken away" in html
    assert "not what did it" in judged("dog", vain)
    assert "stays less likely" in judged("dog", Moved(0.0, 0.4, 0.0, 0.0))


def test_controls_stand_beside_the_edit():
    before = [0.4, 0.3, 0.2, 0.1]
    html = control_html(
        result(before, [0.1, 0.3, 0.2, 0.4], probabilities_control=np.array(before),
               probabilities_feature_control=np.array([0.3, 0.3, 0.2, 0.2]))
    )  # fmt: skip
    assert re.findall(r"<td>([+−]?[\d.]+)</td>", html)[-3:] == ["30.0", "0.0", "10.0"]


def test_features_downstream_lead_to_their_cards():
    found = pd.DataFrame({"layer": ["block_03"], "latent": [5], "before": [0.0], "after": [1.0], "change": [0.5]})
    html = downstream_html(found, [HOSTILE])
    assert 'data-value="block_03:5"' in html
    assert HOSTILE not in html
    assert "No later layer" in downstream_html(found.iloc[:0], [])


def skipped(value: object) -> bool:
    """Whether an output stays as it is."""
    return value == gr.skip()


def outputs_of(views: list[View], values: list, name: str) -> list:
    """The values, of all those of the views, that are for the outputs of one."""
    at = [view.name for view in views].index(name)
    start = sum(len(view.outputs) for view in views[:at])
    return values[start : start + len(views[at].outputs)]


def test_moving_a_slider_redraws_the_result_and_not_the_sliders(desk, selection):
    page = page_over(desk)
    (later,) = (later for later in page.later if later.kind == "effects of edits")
    _, drawn, *_ = page.draw(selection, {})
    _, drawn_later, *_ = later.draw(selection, {}, {})
    amounts = (1.5, *[0] * (SLIDERS - 1))
    sliders = next(view for view in page.views if view.name == "sliders")
    moved, drawn, steps, *values = page.move(sliders, sliders.controls, selection, drawn, Steps(), *amounts)
    latent = steer_panes.steered(desk, selection)[0]
    assert moved.edit == f"{latent}~1.5"
    assert all(skipped(value) for value in outputs_of(page.views, values, "sliders"))
    assert not any(skipped(value) for value in outputs_of(page.views, values, "export"))
    _, drawn_later, *values = later.draw(moved, {}, drawn_later)
    assert not any(skipped(value) for value in outputs_of(later.views, values, "steer"))
    assert all(map(skipped, page.draw(moved, drawn)[2 : -len(page.later)]))  # nothing is out of date
    assert all(map(skipped, later.draw(moved, {}, drawn_later)[2:]))
    undone, _, steps, *_ = page.step(Steps.back, moved, drawn, steps)
    assert undone.edit == ""
    redone, *_ = page.step(Steps.forth, undone, drawn, steps)
    assert redone.edit == moved.edit


def test_class_logits_rise_and_fall_by_themselves():
    moved = result(
        [0.25] * 4, [0.1, 0.2, 0.3, 0.4], logits_before=np.zeros(4), logits_after=np.array([2.0, 0, -1.5, 0])
    )
    shown = result_html(moved, Taxonomy(CLASSES), "block_02", moved=True).split("Class logits that")[-1]
    assert re.findall(r"<b>([+−]\d[^<]*)</b>", shown) == ["+2", "−1.5"]
    assert "Class logits" not in result_html(moved, Taxonomy(CLASSES), "block_02", moved=False)
