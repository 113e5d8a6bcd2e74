"""The events of a page one after another, each with the states that the one before it left.

Gradio reads the states when an event is asked for. Of two that are under way together, such as a tab that opens and a
photo that is taken away, the second would undo what the first chose.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from hsae.views.page.lanes import Ask, Busy, Within
from hsae.views.page.looking import page

_PAGES, _WAITING = 2048, 32


class _Page:
    def __init__(self) -> None:
        self.lock, self.under_way = asyncio.Lock(), 0
        self.states: list[Any] = []

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Raises Busy at once when too many events wait for theirs."""
        if self.under_way > _WAITING:
            raise Busy(f"{_WAITING} clicks of this page are waiting already", do="Try again when they are answered.")
        self.under_way += 1
        try:
            async with self.lock:
                yield
        finally:
            self.under_way -= 1


class Turns:
    """What the last event of each page left, of the pages heard of last; for one event loop."""

    def __init__(self) -> None:
        self._pages: OrderedDict[str, _Page] = OrderedDict()

    def states(self, n: int) -> Within:
        """For events that are given the first n states of a page before all else, and answer with them before all else.

        What was left is taken in place of what they were given. An event that fails leaves what it found.
        """

        async def within(ask: Ask, given: Sequence[Any]) -> Any:
            asking = self._page()
            async with asking.turn():
                left = asking.states[:n]
                answer = await ask(*left, *given[len(left) :])
                asking.states[:n] = answer[:n]
                return answer

        return within

    def first(self, n: int) -> Within:
        """For the event that is given none, and answers with the first n of a page that begins."""

        async def within(ask: Ask, given: Sequence[Any]) -> Any:
            asking = self._page()
            async with asking.turn():
                answer = await ask(*given)
                asking.states = [*answer[:n]]
                return answer

        return within

    def _page(self) -> _Page:
        """Of the page that asks; one that is nobody's outside of an event."""
        name = page.get()
        asking = self._pages.pop(name, None) or _Page()
        if name:
            self._pages[name] = asking
            while len(self._pages) > _PAGES:
                self._pages.popitem(last=False)
        return asking
