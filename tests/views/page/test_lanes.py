"""Lanes: visitors take turns, a flood of one is refused or waits behind itself, and warnings find their way."""

from __future__ import annotations

import asyncio
import inspect
import threading
from contextvars import ContextVar
from functools import partial
from types import SimpleNamespace

import gradio as gr
import pytest

from hsae.errors import InputError
from hsae.views.page.lanes import Busy, Lane, visitor_of


def lane(threads: int = 1, each: int = 4, everybody: int = 6) -> Lane:
    return Lane("questions", threads=threads, each=each, everybody=everybody)


def asking(host: str = "192.0.2.1") -> SimpleNamespace:
    return SimpleNamespace(client=SimpleNamespace(host=host), session_hash="page")


async def held(lane: Lane, visitors: str) -> tuple[list[str], list[object]]:
    """The order of service when these visitors ask while one call holds the only thread, and what each got."""
    hold, served = threading.Event(), []
    first = asyncio.create_task(lane.run("x", partial(hold.wait, 30)))
    await asyncio.sleep(0)
    calls = [asyncio.create_task(lane.run(visitor, partial(served.append, visitor))) for visitor in visitors]
    await asyncio.sleep(0)
    hold.set()
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert await first
    return served, answers


def test_visitors_take_turns_however_many_calls_one_has_waiting():
    served, answers = asyncio.run(held(lane(), "aaabba"))
    assert "".join(served) == "abab" + "aa"
    assert answers == [None] * 6


def test_what_is_too_much_is_refused_at_once_and_leaves_no_trace():
    async def asked() -> None:
        crowded = lane()
        for _ in range(2):  # the second time everything is as free as the first
            served, answers = await held(crowded, "aaaaa" + "bbb")
            assert "".join(served) == "abab" + "aa"
            refused = [str(answer) for answer in answers if isinstance(answer, Busy)]
            assert [answers.index(answer) for answer in answers if isinstance(answer, Busy)] == [4, 7]
            assert refused[0].startswith("From your address 4 questions are waiting already.")
            assert refused[1].startswith("6 questions of all visitors are waiting already.")

    asyncio.run(asked())


@pytest.mark.parametrize("threads", [1, 3])
def test_never_more_calls_run_than_there_are_threads(threads):
    running, most, lock = [], [], threading.Lock()

    def call() -> None:
        with lock:
            running.append(1)
            most.append(len(running))
        threading.Event().wait(0.02)
        with lock:
            running.pop()

    async def asked() -> None:
        wide = lane(threads, each=50, everybody=50)
        await asyncio.gather(*(wide.run(str(number % 5), call) for number in range(20)))

    asyncio.run(asked())
    assert max(most) == threads
    assert len(most) == 20


@pytest.mark.parametrize("turn_has_come", [False, True])
def test_who_goes_away_while_waiting_holds_no_thread(turn_has_come):
    async def asked() -> object:
        narrow, hold = lane(), threading.Event()

        async def first() -> None:
            await narrow.run("a", partial(hold.wait, 30))
            gone.cancel()  # in the moment in which its turn has come

        holding = asyncio.create_task(first())
        await asyncio.sleep(0)
        gone = asyncio.create_task(narrow.run("b", list))
        await asyncio.sleep(0)
        if not turn_has_come:
            gone.cancel()
        hold.set()
        await asyncio.gather(holding, gone, return_exceptions=True)
        assert gone.cancelled()
        return await asyncio.wait_for(narrow.run("c", lambda: "served"), 30)

    assert asyncio.run(asked()) == "served"


def test_an_error_frees_its_thread_and_is_told_as_a_sentence():
    def fails(text: str) -> None:
        raise InputError(f"text {text!r}", "another")

    async def asked() -> None:
        handler = lane().handler(fails)
        for _ in range(3):
            with pytest.raises(gr.Error) as told:
                await handler(asking(), "<b>")
            assert told.value.message == "text '&lt;b&gt;'. Expected another."

    asyncio.run(asked())


def test_a_call_runs_in_the_context_of_who_asked():
    whose: ContextVar[str] = ContextVar("whose", default="nobody's")

    async def asked() -> str:
        whose.set("mine")
        return await lane().run("a", whose.get)

    assert asyncio.run(asked()) == "mine"


def test_gradio_gives_a_handler_the_request_and_the_function_the_rest():
    def pick(selection: str, event: gr.SelectData, *amounts: float) -> None:
        """Said to programs."""

    handler = lane().handler(pick)
    assert list(inspect.signature(handler).parameters) == ["asking", "selection", "event", "amounts"]
    assert (handler.__name__, handler.__doc__) == ("pick", "Said to programs.")
    request = gr.Request(username="a")
    event = gr.EventData(None, {"index": 1, "value": "v"})
    given, *_ = gr.helpers.special_args(handler, ["s"], request, event)
    assert given[0] is request
    assert given[1] == "s"
    assert isinstance(given[2], gr.SelectData)


@pytest.mark.parametrize(
    ("host", "visitor"),
    [
        ("192.0.2.1", "192.0.2.1"), ("2001:db8:1:2:aaaa::1", "2001:db8:1:2::/64"), ("x" * 999, "x" * 64),
    ],
)  # fmt: skip
def test_a_visitor_is_an_address_or_a_network(host, visitor):
    assert visitor_of(asking(host)) == visitor


def test_a_request_from_nowhere_has_a_visitor_too():
    assert visitor_of(SimpleNamespace(client=None)) == ""
