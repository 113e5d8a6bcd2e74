"""A few starter photographs in a row, small, each a button that chooses it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from hsae.views.page.photos import starter_keys, thumbnail
from hsae.views.parts.markup import picture_button


def few_html(keys: Iterable[str], most: int) -> str:
    """The first ones of those that there are."""
    names = starter_keys()
    known = islice((key for key in keys if key in names), most)
    faces = "".join(picture_button(thumbnail(key), names[key], ("image", key)) for key in known)
    return f'<div class="hsae-few">{faces}</div>'
