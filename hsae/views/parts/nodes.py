"""WordNet nodes in words, with id and definition on hover."""

from __future__ import annotations

from hsae.hierarchy import wordnet
from hsae.views.parts.markup import esc


def named_node(wnid: str, css: str = "") -> str:
    """The node's first word as HTML."""
    kind = f' class="{css}"' if css else ""
    return f'<span{kind} title="{esc(wnid)}: {esc(wordnet().gloss(wnid))}">{esc(wordnet().name(wnid))}</span>'
