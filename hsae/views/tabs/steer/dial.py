"""The dial: one slider that turns a concept down or up in the photograph, and the boxes that say which one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gradio as gr

from hsae.artifacts.documents.steerable import Found
from hsae.errors import InputError
from hsae.hierarchy import wordnet
from hsae.steering.turning import Turn
from hsae.views.page.desk import Desk
from hsae.views.page.edit_text import REACH, write_edit
from hsae.views.page.models import Model
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import button, esc
from hsae.views.tabs.concept.concept import concept_of

_TAUTOLOGY = (
    " At the last layer the concept is read from the very place that is pushed, so success says less there than at an"
    " earlier one."
)


def turn_of(desk: Desk, selection: Selection, amount: float) -> Turn:
    """What the dial turns to on the side of an amount: more of the concept to the right, less of it to the left."""
    concept = concept_of(desk, selection)
    return Turn(concept, selection.less) if amount > 0 else Turn(selection.less, concept)


def dialled(desk: Desk, selection: Selection, amounts: Sequence[Any]) -> str:
    """The text of the edit that the dial makes at an amount, in units of each feature's strong activation."""
    (amount,) = amounts
    if type(amount) not in (int, float) or not abs(amount) <= REACH:
        raise InputError(f"dial at {amount!r:.40}", f"a number from -{REACH:g} to {REACH:g}")
    if not amount:
        return ""
    turn, size = turn_of(desk, selection, amount), round(abs(amount), 2)
    edit = desk.session(selection).turn(selection.layer, turn, size)
    return write_edit({op.latent: op.amount for op in edit.ops})


def position(desk: Desk, selection: Selection) -> float:
    """Where the dial stands: the amount that makes the visitor's edit; 0 for an edit made by hand."""
    sizes = {abs(float(part.partition("~")[2])) for part in selection.edit.split("_") if part}
    if len(sizes) != 1:
        return 0.0
    (size,) = sizes
    return next((s for s in (size, -size) if dialled(desk, selection, [s]) == selection.edit), 0.0)


def opening_layer(model: Model, concept: str) -> str:
    """Where the dial opens: the layer at which the concept was brought most often, the last where none was measured."""
    found = model.turns.get(Turn(more=concept))
    return found.layer if found else model.artifact.layers[-1]


def dial_values(desk: Desk, selection: Selection) -> list[Any]:
    """The note under the dial, the dial, and both boxes."""
    model = desk.model(selection)
    if not model.has_classes:
        return ["", *[gr.skip()] * 3]
    concept = concept_of(desk, selection)
    name = wordnet().name(concept)
    left = f"more {wordnet().name(selection.less)}" if selection.less else f"less {name}"
    others = [("anything else", ""), *((words, node) for words, node in model.concepts if node != concept)]
    return [
        note_html(model, concept, selection.layer),
        gr.Slider(value=position(desk, selection), label=f"← {left} · more {name} →"),
        gr.Dropdown(model.concepts, value=concept),
        gr.Dropdown(others, value=selection.less),
    ]


def note_html(model: Model, concept: str, layer: str) -> str:
    """What was measured of turning this concept, and where it works."""
    name, best = wordnet().name(concept), opening_layer(model, concept)
    brought, taken = (model.turns.get(turn) for turn in (Turn(more=concept), Turn(less=concept)))
    told = [
        _rate(found, words)
        for found, words in ((brought, f"brings “{name}” into"), (taken, f"takes “{name}” out of"))
        if found
    ]
    said = f"Measured on other photos: {'; '.join(told)}." if told else "How often this works was not measured."
    last = _TAUTOLOGY if layer == model.artifact.layers[-1] else ""
    go = "" if layer == best else f" {button(f'To layer {short_layer(best)}, where it works best', ('layer', best))}"
    return f'<p class="hsae-hint">Turned at layer {esc(short_layer(layer))}. {esc(said)}{esc(last)}{go}</p>'


def _rate(found: Found, words: str) -> str:
    return f"at layer {short_layer(found.layer)} a push of {found.amount:g} {words} {found.held} of {found.n}"
