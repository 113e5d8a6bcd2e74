"""A few starter photographs in a row, small, each a button that chooses it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice

from hsae.views.page.photos import starter_keys, thumbnail
from hsae.views.parts.markup import attributes, esc, picture_button


def few_html(keys: Iterable[str], most: int) -> str:
    """The first ones of those that there are."""
    names = starter_keys()
    faces = "".join(picture_button(thumbnail(key), names[key], ("image", key)) for key in _known(keys, most))
    return f'<div class="hsae-few">{faces}</div>'


def lit_html(keys: Iterable[str], most: int, mask: Callable[[str], str]) -> str:
    """The same, bright where something fires in each; mask: the variable (`dim.mask_name`) that will say where."""
    names = starter_keys()
    faces = "".join(
        f'<button type="button" class="hsae-pick" {attributes(("image", key))} title="{esc(names[key])}"'
        f' aria-label="{esc(names[key])}"><span class="hsae-still" style="--photo:url({thumbnail(key)})">'
        f'<i style="mask-image:var({mask(key)})"></i></span></button>'
        for key in _known(keys, most)
    )
    return f'<div class="hsae-few">{faces}</div>'


def _known(keys: Iterable[str], most: int) -> list[str]:
    names = starter_keys()
    return list(islice((key for key in keys if key in names), most))
