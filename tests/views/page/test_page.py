"""The page as a whole: what is redrawn when, what is public, and what happens without a backbone."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from hsae.artifacts.artifact import Artifact
from hsae.errors import InputError
from hsae.session import Session
from hsae.views.page.app import build_app
from hsae.views.page.desk import Desk
from hsae.views.page.models import Models
from hsae.views.page.page import Page
from hsae.views.page.photos import Photos
from hsae.views.page.selection import Selection
from hsae.views.page.state import VIEWS, Choices
from hsae.views.page.tabs import TABS, TITLES, tabs_html
from tests.views.conftest import in_a_loop

GOLDEN = Path(__file__).parents[2] / "golden" / "schema_1"


def page_over(desk: Desk) -> Page:
    def make() -> Page:
        with gr.Blocks(analytics_enabled=False):
            return Page(desk, Choices(desk.models, desk.photos))

    return in_a_loop(make)


def changed(page: Page, values: list) -> set[str]:
    """Names of the views that got new values."""
    names, at = set(), 2
    for view in page.views:
        part = values[at : at + len(view.outputs)]
        at += len(part)
        names |= {view.name} if any(value != gr.skip() for value in part) else set()
    assert at + len(page.later) == len(values) == len(page.outputs)
    return names


def test_only_what_is_open_and_out_of_date_is_drawn(desk):
    page = page_over(desk)
    first = page.choices.first()
    selection, drawn, *rest = page.draw(first, {})
    always = {"strip", "link", "picture", "square", "thumbnails", "sees", "active", "concept", "film", "curve", "tabs"}
    assert changed(page, [selection, drawn, *rest]) == always | {"carries"}
    assert changed(page, page.draw(first, drawn)) == set()
    feature = page.draw(page.choices.choose(first, "latent", "2"), drawn)
    assert changed(page, feature) == {"link", "active", "tabs", "search", "walk", "feature", "mine", "kept"}
    back = page.draw(replace(feature[0], view="carries"), feature[1])
    assert changed(page, back) == {"link", "tabs"}


def asked(page: Page, selection: Selection) -> dict[str, dict]:
    """By kind what an event of the page asks of the views that come later."""
    values = page.draw(selection, {})[-len(page.later) :]
    return {later.kind: value for later, value in zip(page.later, values, strict=True)}


def test_a_step_of_a_slider_asks_only_for_its_effect(desk):
    page = page_over(desk)
    still = replace(page.choices.first(), view="steer")
    before, after = asked(page, still), asked(page, page.choices.choose(still, "edit", "3~1"))
    assert {kind for kind in before if before[kind] != after[kind]} == {"effects of edits"}
    elsewhere = asked(page, replace(still, view="relevancy"))
    assert {kind for kind in before if before[kind] != elsewhere[kind]} >= {"heat maps", "effects of edits"}
    assert not elsewhere["effects of edits"]


def test_no_event_copies_the_values_of_all_that_it_may_change(desk):
    """At each sign of progress the browser copies every value of what that is shown on: texts only."""

    def events() -> list:
        with gr.Blocks(analytics_enabled=False) as blocks:
            Page(desk, Choices(desk.models, desk.photos))
        return [(event, blocks.blocks) for event in blocks.fns.values() if len(event.outputs) > 1]

    found = in_a_loop(events)
    assert len(found) > 20
    for event, blocks in found:
        shown_on = [blocks[getattr(one, "_id", one)] for one in event.show_progress_on]
        assert shown_on
        for one in shown_on:
            assert isinstance(one, gr.Timer) or (isinstance(one, gr.HTML) and one.html_template == "${value}")


def test_a_slow_view_that_could_not_be_drawn_is_asked_for_again(desk):
    page = page_over(desk)
    (later,) = (later for later in page.later if later.kind == "effects of edits")
    lost = replace(page.choices.first(), view="steer", image="upload-forgotten")
    nothing_asked, *_ = later.draw(lost, later.wanted(lost), {})
    assert nothing_asked is None  # so that whatever the next event asks for is a change
    assert all(value == gr.skip() for value in later.draw(lost, None, {}))
    found = replace(lost, image=page.choices.first().image)
    still_asked, drawn, *_ = later.draw(found, later.wanted(found), {})
    assert still_asked == gr.skip()
    assert drawn == later.wanted(found)


def test_every_tab_is_called_something():
    assert list(TITLES) == list(TABS)


def test_what_could_not_be_drawn_is_tried_again(desk):
    page = page_over(desk)
    values = page.draw(replace(page.choices.first(), image="upload-forgotten"), {})
    assert any("no longer kept" in str(value) for value in values)
    assert "sees" not in values[1]
    assert "strip" in values[1]


def test_a_choice_that_is_not_there_leaves_the_page_alone(desk):
    page = page_over(desk)
    with pytest.raises(InputError):
        page.choose("layer", page.choices.first(), {}, "block_99")


def test_clearing_the_photo_says_what_to_do(desk):
    page = page_over(desk)
    values = page.choose("image", page.choices.first(), {}, None)
    assert values[0].image == ""
    assert any("Pick one on the left" in str(value) for value in values)


def test_the_page_waits_until_every_backbone_is_there(artifact):
    desk = Desk(Models([artifact]), Photos())
    held = Future()
    desk.models["unsaved"]._session = held
    page = page_over(desk)
    first = page.choices.first()
    waiting = page.wait(first, {})
    assert waiting[-1].active
    assert "is being loaded" in " ".join(value for value in waiting if isinstance(value, str))
    held.set_result(Session(artifact))
    done = page.wait(first, waiting[1])
    assert not done[-1].active
    assert {"sees", "active", "film"} <= changed(page, done[:-1])


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_opens_without_a_backbone(view):
    """The golden artifact names a backbone that nobody has."""
    desk = Desk(Models([Artifact.load(GOLDEN)]), Photos())
    with pytest.raises(Exception, match="golden"):
        desk.models["schema_1"].session(wait=True)
    page = page_over(desk)
    values = page.draw(replace(page.choices.first(), view=view), {})
    text = " ".join(value for value in values if isinstance(value, str))
    assert "This needs the model golden, which could not be loaded. No backbone is called" in text
    drawn = values[1]
    assert (view in drawn) == (view in ("layers", "hierarchy", "feature", "compare"))


def test_two_models_are_told_apart(artifact):
    models = Models([Artifact.load(GOLDEN), Artifact.load(GOLDEN), artifact])
    assert list(models) == ["schema_1", "schema_1 (2)", "unsaved"]


def test_only_the_questions_are_public_and_each_says_what_it_answers(artifact):
    stated = in_a_loop(lambda: build_app([artifact]).get_api_info())
    public = stated["named_endpoints"]
    questions = ("classes", "latents", "relevancy", "faithfulness", "feature", "steer", "examples", "activation_map")
    assert set(public) == {f"/{name}" for name in (*questions, "patch_latents", "patch_relevancy")}
    assert all(len(endpoint["description"]) > 40 for endpoint in public.values())
    assert not stated["unnamed_endpoints"]


def test_the_open_tab_is_the_selected_one():
    html = tabs_html("steer")
    assert html.count('aria-selected="true"') == 1
    assert html.index('data-value="steer"') < html.index('aria-selected="true"')
