"""Over the tabs: where, layer by layer, a concept is in the photograph."""

from __future__ import annotations

from typing import Any

import gradio as gr

from hsae.hierarchy import wordnet
from hsae.views.page.desk import NO_PROBE, Desk
from hsae.views.page.models import Model
from hsae.views.page.selection import SURPRISE, Selection
from hsae.views.parts.charts import share_chart
from hsae.views.parts.markup import button, esc, notice
from hsae.views.parts.view import View, asset, picker
from hsae.views.tabs.concept.film import Film, film_html, masks_payload, told

_SIDE = 168
"""Of a frame, in pixels: twice its size on the page."""
_PLAY = '<button type="button" class="hsae-pick" data-play aria-label="Play the film">▶ play</button>'
_HINT = (
    "Each frame is your photo after one more layer. Bright: what speaks for the concept there; the percentage is what"
    " the layer's own probe says{}. Click a frame to go to its layer."
)
_UNCALIBRATED = ", which in this model is not calibrated: it is often surer than it is right"


def build(desk: Desk) -> list[View]:
    """Concept box, film with its sentence, and the curve."""
    with gr.Row(elem_id="concept-row"):
        box = gr.Dropdown([], value=None, label="Concept", elem_id="concept", scale=0, min_width=240)
        suggestions = picker(elem_id="concepts", scale=4, min_width=260)
    scripts = asset("parts/pick.js") + asset("parts/arrows.js") + asset("tabs/concept/film.js")
    film = gr.HTML(js_on_load=scripts, apply_default_css=False, elem_id="film")
    masks = gr.HTML({}, html_template="", js_on_load=asset("tabs/concept/masks.js"), apply_default_css=False,
                    elem_id="film-masks")  # fmt: skip
    curve = picker(elem_id="curve")
    reads = ("model", "image", "concept")
    return [
        View("concept", reads, [suggestions, box], lambda s: _box(desk, s), pickers=[suggestions], quiet=True,
             choosers=[(box.input, "concept", box)]),
        View("film", (*reads, "layer"), [film], lambda s: [_film(desk, s)], pickers=[film]),
        View("curve", (*reads, "layer"), [curve], lambda s: [_curve(desk, s)], pickers=[curve], quiet=True),
        View("masks", reads, [masks], lambda s: [_masks(desk, s)], later="film", quiet=True),
    ]  # fmt: skip


def concept_of(desk: Desk, selection: Selection) -> str:
    """The concept that is looked for: the chosen one, else what may be said of the photograph."""
    return selection.concept or desk.session(selection).likely_concept()


def _box(desk: Desk, selection: Selection) -> list[Any]:
    model = desk.model(selection)
    if not model.has_classes:
        return ["", gr.Dropdown([], value=None, visible=False)]
    here = concept_of(desk, selection)
    guesses = desk.session(selection).guesses()[:5]
    faces = [button(wordnet().name(node), ("concept", node), pressed=node == here) for node in guesses]
    faces.append(button("surprise me", ("concept", SURPRISE)))
    return [
        f'<div class="hsae-presets"><span>the model’s guess:</span>{"".join(faces)}</div>',
        gr.Dropdown(model.concepts, value=here, visible=True),
    ]


def _film(desk: Desk, selection: Selection) -> str:
    model = desk.model(selection)
    if not model.has_classes:
        return notice(NO_PROBE)
    concept = concept_of(desk, selection)
    chances = desk.session(selection).node_probabilities([concept, *_above(model, concept)])
    names = {wordnet().name(node): values for node, values in chances.items()}
    name = wordnet().name(concept)
    film = Film(desk.photos.crop(model, selection.image, _SIDE), name, chances[concept])
    return (
        f'{film_html(film, selection.layer)}<p class="hsae-told">{_PLAY} <b>{esc(told(name, names))}</b></p>'
        f'<p class="hsae-hint">{_HINT.format("" if model.calibrated else _UNCALIBRATED)}</p>'
    )


def _above(model: Model, concept: str) -> list[str]:
    """Up to three branches above a concept, in rising order."""
    return [node for node in reversed(model.taxonomy.branches_above(concept)) if node != concept][:3]


def _curve(desk: Desk, selection: Selection) -> str:
    model = desk.model(selection)
    if not model.has_classes:
        return ""
    concept = concept_of(desk, selection)
    chances = desk.session(selection).node_probabilities([concept, *_above(model, concept)])
    series = {wordnet().name(node): list(values.values()) for node, values in chances.items()}
    title = f"How sure each layer is of “{wordnet().name(concept)}” and of the branches above it"
    return share_chart(title, model.artifact.layers, series, selection.layer)


def _masks(desk: Desk, selection: Selection) -> dict[str, list[str]]:
    if not desk.model(selection).has_classes:
        return {}
    return masks_payload(desk.session(selection).concept_maps(concept_of(desk, selection)))
