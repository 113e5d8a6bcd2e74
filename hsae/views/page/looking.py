"""What each open page looks at, so that work on what it has left can stop."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

_PAGES = 2048

page: ContextVar[str] = ContextVar("page", default="")
"""Which page asks, as Gradio tells pages apart; nothing outside of an event."""


def always() -> bool:
    """Of views that are not slow."""
    return True


class Looking:
    """By page, what its slow views should show (`drawing.keys`); the pages heard of last."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, Mapping[str, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def tell(self, asked: Mapping[str, Any]) -> None:
        """The page that asks looks at this now."""
        if not page.get():
            return
        with self._lock:
            self._asked[page.get()] = asked
            self._asked.move_to_end(page.get())
            while len(self._asked) > _PAGES:
                self._asked.popitem(last=False)

    def at(self, view: str, key: Any) -> Callable[[], bool]:
        """Asks whether the page that asks still wants a view to show that; of an unknown page it is believed."""
        of = page.get()

        def still() -> bool:
            asked = self._asked.get(of)
            return asked is None or asked.get(view) == key

        return still

    def of(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """What of it the page that asks still looks at."""
        return {view: key for view, key in asked.items() if self.at(view, key)()}
