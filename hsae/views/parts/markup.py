"""Pieces of HTML: every text that comes from outside is escaped here, once.

An *action* is a pair (field, value) of `Selection`: pick.js sends it to the server when its element is clicked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

from hsae.hierarchy import wordnet

Action = tuple[str, object]


def esc(text: object) -> str:
    """Text that is safe inside an element and inside a quoted attribute."""
    return escape(str(text), quote=True)


def button(text: str, action: Action, *, title: str = "", css: str = "", pressed: bool | None = None) -> str:
    """A button with plain text that performs an action; `pressed` marks the current choice of several."""
    return _button(esc(text), action, title, css, pressed)


def picture_button(
    uri: str, alt: str, action: Action, *, caption: str = "", title: str = "", pressed: bool | None = None
) -> str:
    """A button that is an image given as a data URI."""
    below = f"<span>{esc(caption)}</span>" if caption else ""
    inside = f'<img src="{esc(uri)}" alt="{esc(alt)}" loading="lazy">{below}'
    return _button(inside, action, title or alt, "hsae-picture", pressed)


def _button(inside: str, action: Action, title: str, css: str, pressed: bool | None) -> str:
    state = "" if pressed is None else f' aria-pressed="{str(pressed).lower()}"'
    hover = f' title="{esc(title)}"' if title else ""
    return f'<button type="button" class="hsae-pick {css}" {attributes(action)}{state}{hover}>{inside}</button>'


def attributes(action: Action) -> str:
    """The attributes that make any element perform an action."""
    return f'data-field="{esc(action[0])}" data-value="{esc(action[1])}"'


def table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], *, current: int | None = None, css: str = ""
) -> str:
    """A table; heads are plain text, cells are HTML already. `current` is the number of the row to mark."""
    head = "".join(f'<th scope="col">{esc(text)}</th>' if text else "<td></td>" for text in heads)
    body = "".join(
        f"<tr{' class=current' if number == current else ''}>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>"
        for number, row in enumerate(rows)
    )
    return (
        f'<div class="hsae-scroll" role="group" tabindex="0" aria-label="{esc(caption)}">'
        f'<table class="hsae-table {css}">'
        f'<caption class="hsae-unseen">{esc(caption)}</caption>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def notice(text: str, kind: str = "info") -> str:
    """A message to the visitor in plain text; `kind` is info or problem."""
    return f'<div class="hsae-notice {esc(kind)}" role="status">{esc(text)}</div>'


def bar(share: float, css: str = "") -> str:
    """A horizontal bar filled to a share in [0, 1]; the number itself has to stand beside it."""
    width = 100 * min(max(share, 0.0), 1.0) if math.isfinite(share) else 0
    return f'<span class="hsae-bar {css}" aria-hidden="true"><i style="width:{width:.1f}%"></i></span>'


def signed_bar(share: float) -> str:
    """A bar from the middle to the right for a gain, to the left for a loss; a share in [-1, 1] of half its width."""
    side = "left" if share > 0 else "right"
    width = 50 * min(abs(share), 1.0)
    sign = "gain" if share > 0 else "loss"
    return f'<span class="hsae-signed {sign}" aria-hidden="true"><i style="{side}:50%;width:{width:.1f}%"></i></span>'


def percent(share: float | None) -> str:
    """A share with two significant digits: 71 %, 4.3 %, <0.1 %; – when unknown."""
    if share is None or not math.isfinite(share):
        return "–"
    value = 100 * share
    if 0 < value < 0.1:
        return "<0.1 %"
    return f"{value:.0f} %" if value >= 10 or value == 0 else f"{value:.1f} %"


def number(value: float | None) -> str:
    """A number with three significant digits; – when unknown."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.3g}"


def points(change: float) -> str:
    """A signed change of a share in percentage points: +3.1, −0.2, 0.0."""
    value = round(100 * change, 1)
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{abs(value):.1f}"


def named_node(wnid: str, css: str = "") -> str:
    """The node's first word as HTML."""
    kind = f' class="{css}"' if css else ""
    return f'<span{kind} title="{esc(wnid)}: {esc(wordnet().gloss(wnid))}">{esc(wordnet().name(wnid))}</span>'
