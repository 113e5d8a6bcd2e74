"""Events of one page that are under way together end as if one had followed the other; other pages are not asked."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import gradio as gr
import pytest

from hsae.errors import InputError
from hsae.views.page.lanes import Lane, at_once
from hsae.views.page.turns import _PAGES, _WAITING, Turns
from tests.views.page.test_page import page_over


def asking(page: str = "mine") -> SimpleNamespace:
    return SimpleNamespace(client=SimpleNamespace(host="192.0.2.1"), session_hash=page)


def lane() -> Lane:
    return Lane("clicks", threads=4, each=99, everybody=999)


async def together(turns: Turns | None, *, page: str = "mine", other: str = "mine") -> list[tuple[str, ...]]:
    """What two events answer that were both given ("first",), one of which takes longer."""
    hold, of = threading.Event(), lane()

    def add(word: str, words: tuple[str, ...]) -> list[tuple[str, ...]]:
        if word == "slow":
            hold.wait(30)
        return [(*words, word)]

    within = at_once if turns is None else turns.states(1)
    calls = [(page, "slow"), (other, "fast")]
    tasks = [asyncio.create_task(of.handler(partial(add, word), within)(asking(at), ("first",))) for at, word in calls]
    await asyncio.sleep(0.05)
    hold.set()
    return [answer for (answer,) in await asyncio.gather(*tasks)]


def test_the_second_of_two_events_goes_on_from_what_the_first_left():
    assert asyncio.run(together(Turns())) == [("first", "slow"), ("first", "slow", "fast")]


def test_control_without_turns_the_second_undoes_the_first():
    assert asyncio.run(together(None)) == [("first", "slow"), ("first", "fast")]


@pytest.mark.parametrize(("page", "other"), [("mine", "another"), ("", "")])
def test_pages_have_turns_of_their_own_and_calls_outside_of_pages_none(page, other):
    assert asyncio.run(together(Turns(), page=page, other=other)) == [("first", "slow"), ("first", "fast")]


def run(turns: Turns, *events: tuple[Callable, tuple, Callable]) -> list:
    """The answers of events one after another: (within of the turns, what it is given, function)."""

    async def ask() -> list:
        of = lane()
        return [await of.handler(function, within)(asking(), *given) for within, given, function in events]

    return asyncio.run(ask())


def fails(*_: object) -> None:
    raise InputError("a word", "another")


def test_an_event_that_fails_leaves_what_it_found():
    turns = Turns()
    run(turns, (turns.states(1), ("a",), lambda word: [word + "b", "shown"]))
    with pytest.raises(gr.Error, match="a word"):
        run(turns, (turns.states(1), ("stale",), fails))
    assert run(turns, (turns.states(1), ("stale",), lambda word: [word + "c"])) == [["abc"]]


def test_events_may_share_some_of_their_states():
    turns = Turns()
    answers = run(
        turns,
        (turns.first(2), (), lambda: ["chosen", "drawn", "shown"]),
        (turns.states(3), ("", "", "steps"), lambda *given: [*given, "shown"]),
        (turns.states(2), ("", "", "sent"), lambda *given: ["next", *given[1:]]),
        (turns.states(3), ("", "", ""), lambda *given: [*given]),
        (turns.first(2), (), lambda: ["first", "nothing", "shown"]),
        (turns.states(3), ("", "", "new"), lambda *given: [*given]),
    )
    assert answers[1] == ["chosen", "drawn", "steps", "shown"]
    assert answers[2] == ["next", "drawn", "sent"]
    assert answers[3] == ["next", "drawn", "steps"]
    assert answers[5] == ["first", "nothing", "new"]


def test_a_flood_of_one_page_is_refused_and_others_are_served():
    async def flood() -> list:
        hold, turns, of = threading.Event(), Turns(), lane()
        waits = of.handler(lambda word: [word, hold.wait(30)], turns.states(1))
        tasks = [asyncio.create_task(waits(asking(), "a")) for _ in range(_WAITING + 3)]
        await asyncio.sleep(0.05)
        assert (await of.handler(lambda word: [word], turns.states(1))(asking("another"), "b")) == ["b"]
        hold.set()
        return await asyncio.gather(*tasks, return_exceptions=True)

    refused = [answer for answer in asyncio.run(flood()) if isinstance(answer, gr.Error)]
    assert len(refused) == 2
    assert all(f"{_WAITING} clicks of this page are waiting" in error.message for error in refused)


def test_pages_of_long_ago_begin_again_with_what_gradio_kept():
    turns, of = Turns(), lane()

    async def ask(page: str, given: str) -> str:
        return (await of.handler(lambda word: [word + "+"], turns.states(1))(asking(page), given))[0]

    async def many() -> tuple[str, str]:
        await ask("mine", "a")
        kept = await ask("mine", "stale")
        for n in range(_PAGES):
            await ask(f"page {n}", "b")
        return kept, await ask("mine", "given")

    assert asyncio.run(many()) == ("a++", "given+")


def test_a_tab_and_a_photo_taken_away_at_once_both_hold(desk):
    page = page_over(desk)
    first = page.choices.first()
    tab = page.handler(lambda selection, drawn: page.draw(page.choices.click(selection, "view", "layers"), drawn))
    clear = page.handler(partial(page.choose, "image", value=""))

    async def both() -> list:
        return await asyncio.gather(tab(asking(), first, {}), clear(asking(), first, {}))

    _, (selection, drawn, *_) = asyncio.run(both())
    assert (selection.view, selection.image) == ("layers", "")
    assert drawn["layers"] == next(view for view in page.views if view.name == "layers").key(selection)
