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

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from hsae.steering.edits import Edit
from hsae.views.page.edit_text import SLIDERS, Steps
from hsae.views.parts.patches import grid_of, grid_payload
from hsae.views.parts.view import View
from hsae.views.tabs.steer import panes as steer_panes
from hsae.views.tabs.steer import steer
from hsae.views.tabs.steer.presets import PRESETS, Preset, preset_edit, running, verdict_html
from hsae.views.tabs.steer.result import control_html, downstream_html, result_html
from tests.views.conftest import CLASSES, HOSTILE, latents
from tests.views.page.test_page import page_over
from tests.views.test_tabs import result

DOG, FELINE = "n02084071", "n02120997"


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


def test_a_preset_moves_the_owners_of_both_concepts():
    taxonomy = Taxonomy(CLASSES)
    cats = Preset("animals/dog", "n02121808", "n04285008")  # domestic cat -> sports car
    assert preset_edit(cats, latents(), taxonomy) == "1~-3_3~2"
    assert preset_edit(Preset("x", "n07705931", "n07705931"), latents(), taxonomy) == ""  # not above these classes
    assert HOSTILE not in cats.title


def test_a_verdict_needs_both_to_move_and_more_than_by_chance():
    taxonomy = Taxonomy(CLASSES)
    cats = Preset("animals/dog", "n02084071", "n02121808")
    before, after = [0.7, 0.1, 0.1, 0.1], [0.2, 0.5, 0.2, 0.1]
    for control, holds in ((before, True), ([0.4, 0.3, 0.2, 0.1], False)):
        html = verdict_html(cats, result(before, after, probabilities_control=np.array(control)), taxonomy)
        assert ("It holds" in html) == holds
        assert ("does not hold" in html) == (not holds)
    assert "70 % → 20 %" in html
    still = verdict_html(cats, result(before, before, probabilities_control=np.array(before)), taxonomy)
    assert "does not hold" in still
    with pytest.raises(InputError, match="without a control"):
        verdict_html(cats, result(before, after), taxonomy)


def test_a_preset_is_on_when_its_photo_and_edit_are(desk, choices, selection):
    table, taxonomy = desk.model(selection).latents(selection.layer), desk.model(selection).taxonomy
    preset = next(p for p in PRESETS if preset_edit(p, table, taxonomy))
    edit = preset_edit(preset, table, taxonomy)
    chosen = choices.choose(selection, "preset", f"{preset.photo}|{edit}")
    assert (chosen.image, chosen.edit, chosen.view) == (preset.photo, edit, "steer")
    assert running(desk, chosen) == preset
    assert "What happened" in steer_panes.pane_html(desk, chosen)
    assert running(desk, replace(chosen, image="food/lemon")) is None
    assert running(desk, selection) is None


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
    later = [view for _, _, views in page.later for view in views]
    _, drawn, *_ = page.draw(selection, {})
    drawn_later, *_ = page.draw_later(later, selection, {})
    amounts = (1.5, *[0] * (SLIDERS - 1))
    sliders = next(view for view in page.views if view.controls)
    steps, moved, drawn, *values = page.move(sliders, sliders.controls, selection, drawn, Steps(), *amounts)
    latent = steer_panes.steered(desk, selection)[0]
    assert moved.edit == f"{latent}~1.5"
    assert all(skipped(value) for value in outputs_of(page.views, values, "sliders"))
    assert not any(skipped(value) for value in outputs_of(page.views, values, "export"))
    drawn_later, *values = page.draw_later(later, moved, drawn_later)
    assert not any(skipped(value) for value in outputs_of(later, values, "steer"))
    assert all(map(skipped, page.draw(moved, drawn)[2:]))  # nothing is out of date
    assert all(map(skipped, page.draw_later(later, moved, drawn_later)[1:]))
    steps, undone, *_ = page.step(Steps.back, moved, drawn, steps)
    assert undone.edit == ""
    _, redone, *_ = page.step(Steps.forth, undone, drawn, steps)
    assert redone.edit == moved.edit


def test_class_logits_rise_and_fall_by_themselves():
    moved = result(
        [0.25] * 4, [0.1, 0.2, 0.3, 0.4], logits_before=np.zeros(4), logits_after=np.array([2.0, 0, -1.5, 0])
    )
    shown = result_html(moved, Taxonomy(CLASSES), "block_02", moved=True).split("Class logits that")[-1]
    assert re.findall(r"<b>([+−]\d[^<]*)</b>", shown) == ["+2", "−1.5"]
    assert "Class logits" not in result_html(moved, Taxonomy(CLASSES), "block_02", moved=False)
