"""Whether a push brought a concept, or took it: three bars beside each other, and a sentence."""

from __future__ import annotations

from collections.abc import Mapping

from hsae.hierarchy import wordnet
from hsae.steering.turning import Moved
from hsae.views.parts.markup import bar, esc, percent, table

_ROWS = (
    ("before", "before"),
    ("this push", "after"),
    ("a random direction, as far", "random"),
    ("features that fire as often, as far", "other"),
)


def verdict_html(moved: Mapping[str, Moved]) -> str:
    """Of every node what it was, and what the push and its controls made of it."""
    return "".join(_node(wordnet().name(node), values) for node, values in moved.items())


def _node(name: str, moved: Moved) -> str:
    shares = {field: getattr(moved, field) for _, field in _ROWS}
    rows = [[esc(words), f"{bar(shares[field])} <b>{percent(shares[field])}</b>"] for words, field in _ROWS]
    return (
        f'<div class="hsae-verdict"><p><b>{esc(judged(name, moved))}</b></p>'
        f"{table(f'How likely “{name}” is', ['', f'“{name}”'], rows)}</div>"
    )


def judged(name: str, moved: Moved) -> str:
    """One sentence; bringing and taking are different claims."""
    crossed = (moved.before < 0.5) != (moved.after < 0.5)
    told = f"“{name}” {percent(moved.before)} → {percent(moved.after)}"
    if moved.brought or moved.taken:
        return f"{told}: {'brought' if moved.brought else 'taken away'}, and neither control moves it half as far."
    if crossed:
        return f"{told}, but a control moves it at least half as far: the push's meaning is not what did it."
    return f"{told}: it stays {'more' if moved.after > 0.5 else 'less'} likely than not."
