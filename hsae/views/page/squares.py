"""Which square of a photograph a model looks at: the middle one, or a place along the long side, as in farm/dog@25.

A photograph with another square is another photograph to everything else: it has a session and a link of its own.
"""

from __future__ import annotations

from hsae.errors import InputError
from hsae.views.parts.markup import button

CENTRE = 50
PLACES = {0: "start", 25: "a quarter", CENTRE: "middle", 75: "three quarters", 100: "end"}
"""Per cent of the way that the square can go, and what that is called."""
_NEARLY_SQUARE = 1.05


def split_key(key: str) -> tuple[str, int]:
    """The photograph that a key names, and the place of its square; InputError for a place that there is not."""
    photo, at, place = key.rpartition("@")
    if not at:
        return key, CENTRE
    if place not in map(str, PLACES):
        raise InputError(f"the square at {place[:20]!r}", f"one of {', '.join(map(str, PLACES))}")
    return photo, int(place)


def placed(key: str, place: int) -> str:
    """The key of the same photograph with its square at another place."""
    photo, _ = split_key(key)
    return photo if place == CENTRE else f"{photo}@{place}"


def square_box(size: tuple[int, int], place: int = CENTRE) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the square, which is as large as the picture lets it be."""
    side = min(size)
    left, top = ((length - side) * place // 100 for length in size)
    return left, top, left + side, top + side


def squares_html(size: tuple[int, int], place: int) -> str:
    """A button for every place of the square; empty where the picture is nearly square itself."""
    if max(size) < _NEARLY_SQUARE * min(size):
        return ""
    arrows = ("⇤", "←", "·", "→", "⇥") if size[0] > size[1] else ("⤒", "↑", "·", "↓", "⤓")
    buttons = "".join(
        button(arrow, ("square", str(other)), pressed=other == place, title=f"Look at the square at the {name}")
        for arrow, (other, name) in zip(arrows, PLACES.items(), strict=True)
    )
    return f'<div role="group" aria-label="Move the bright square">Move the bright square: {buttons}</div>'
