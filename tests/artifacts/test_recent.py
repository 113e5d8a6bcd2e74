"""What was used last stays, what nobody used goes, and no more than so many bytes are kept."""

from __future__ import annotations

import weakref

import pytest

from hsae.artifacts.recent import Recent


class Thing:
    pass


def test_the_least_recently_used_goes_when_there_is_no_room() -> None:
    made: list[str] = []

    def thing(name: str) -> Thing:
        return recent.get(name, lambda: made.append(name) or Thing(), size=40)

    recent: Recent[Thing] = Recent(100)
    a, b = thing("a"), weakref.ref(thing("b"))
    assert thing("a") is a
    thing("c")
    assert b() is None, "dropped, and nobody holds it"
    assert thing("a") is a
    assert made == ["a", "b", "c"]
    thing("b")
    assert made == ["a", "b", "c", "b"]


def test_what_is_larger_than_all_room_is_kept_while_it_is_the_last() -> None:
    recent: Recent[Thing] = Recent(1)
    large = recent.get("large", Thing, size=10**9)
    assert recent.get("large", Thing, size=10**9) is large
    other = recent.get("other", Thing, size=2)
    assert recent.get("large", Thing, size=10**9) is not large
    assert other is not None


def test_what_cannot_be_made_is_tried_again() -> None:
    recent: Recent[Thing] = Recent(10)
    with pytest.raises(OSError, match="disk"):
        recent.get("a", _broken, size=1)
    assert isinstance(recent.get("a", Thing, size=1), Thing)


def _broken() -> Thing:
    raise OSError("disk")
