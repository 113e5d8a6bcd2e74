"""Work on what a visitor has left stops, and what is still looked at is finished."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import gradio as gr
import pytest

from hsae.views.page.drawing import Drawing
from hsae.views.page.later import Later
from hsae.views.page.looking import Looking, page
from hsae.views.page.selection import FIRST_PHOTO, Selection
from hsae.views.parts.left import Left, go_on, while_looked_at
from hsae.views.parts.view import View
from tests.views.conftest import in_a_loop

HERE = Selection("model", "block_01", image=FIRST_PHOTO, view="relevancy")
STEPS = 5


@contextmanager
def asking(name: str) -> Iterator[None]:
    token = page.set(name)
    try:
        yield
    finally:
        page.reset(token)


@pytest.fixture
def drawing() -> Drawing:
    return Drawing()


@pytest.fixture
def steps() -> list[int]:
    """What the slow view has done."""
    return []


@pytest.fixture
def events() -> dict[int, object]:
    """What happens meanwhile, by step."""
    return {}


@pytest.fixture
def later(drawing, steps, events) -> Later:
    def render(selection: Selection) -> list[str]:
        for step in range(STEPS):
            go_on()
            events.get(step, int)()
            steps.append(step)
        return [selection.layer]

    def make() -> Later:
        with gr.Blocks(analytics_enabled=False):
            view = View("map", ("layer",), [gr.HTML()], render, tab="relevancy", later="heat maps")
            return Later("heat maps", [view], drawing)

    return in_a_loop(make)


def draws(later: Later, selection: Selection, drawn: dict) -> tuple[object, dict, object]:
    return tuple(later.draw(selection, later.wanted(selection), drawn))


@pytest.mark.parametrize("left", [replace(HERE, view="steer"), replace(HERE, layer="block_02")])
def test_a_view_that_was_left_stops_before_its_next_step(later, drawing, steps, events, left):
    def leave() -> None:
        drawing.looking.tell(later.wanted(left))

    events[1] = leave
    with asking("one"):
        drawing.looking.tell(later.wanted(HERE))
        asked, drawn, value = draws(later, HERE, {})
    assert steps == [0, 1]
    assert value == gr.skip()
    assert drawn == {}  # so it is drawn when somebody comes back
    assert asked == gr.skip()  # and what was asked for meanwhile stays asked for
    events.clear()
    with asking("one"):
        drawing.looking.tell(later.wanted(HERE))
        assert draws(later, HERE, {})[1:] == (later.wanted(HERE), "block_01")


def test_control_another_page_that_leaves_stops_nothing(later, drawing, steps, events):
    def leave() -> None:
        with asking("two"):
            drawing.looking.tell({})

    events[1] = leave
    with asking("one"):
        drawing.looking.tell(later.wanted(HERE))
        _, drawn, value = draws(later, HERE, {})
    assert steps == list(range(STEPS))
    assert (drawn, value) == (later.wanted(HERE), "block_01")


def test_a_page_that_nobody_knows_gets_what_it_asks_for(later, steps):
    for name in ("", "unknown"):
        with asking(name):
            assert draws(later, HERE, {})[2] == "block_01"
    assert len(steps) == STEPS  # a starter photograph's are remembered


def test_pages_are_forgotten_oldest_first(monkeypatch):
    monkeypatch.setattr("hsae.views.page.looking._PAGES", 2)
    looking = Looking()
    for name in ("a", "b", "c"):
        with asking(name):
            looking.tell({"map": [1]})
    for name, known in (("a", False), ("b", True), ("c", True)):
        with asking(name):
            assert looking.at("map", [2])() is not known


def test_go_on_outside_of_a_slow_view_says_nothing():
    go_on()
    with pytest.raises(Left), while_looked_at(lambda: False):
        go_on()
    go_on()
