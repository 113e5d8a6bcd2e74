"""Work on what a visitor has left stops: slow views ask between two steps whether anybody still looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class Left(Exception):
    """The page shows something else by now."""


_looked_at: ContextVar[Callable[[], bool]] = ContextVar("looked_at", default=lambda: True)


@contextmanager
def while_looked_at(looked_at: Callable[[], bool]) -> Iterator[None]:
    """Inside, `go_on` raises Left once `looked_at` says no."""
    token = _looked_at.set(looked_at)
    try:
        yield
    finally:
        _looked_at.reset(token)


def go_on() -> None:
    """For slow views, before each of their steps."""
    if not _looked_at.get()():
        raise Left
