"""The films of both models on one photograph, where the other model is on this page too."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import gradio as gr

from hsae.hierarchy import wordnet
from hsae.views.page.desk import Desk
from hsae.views.page.models import Model
from hsae.views.page.selection import Selection
from hsae.views.parts.dim import mask_uri
from hsae.views.parts.markup import esc
from hsae.views.parts.view import asset
from hsae.views.tabs.concept.concept import concept_of
from hsae.views.tabs.concept.film import Film, film_html, told

_SIDE = 168
_OTHER = "--other-film-mask-"
"""Beginning of the variables that hold the masks of the other film: the names of the first one's are taken."""


def other_masks() -> gr.HTML:
    """The component that dims the other film."""
    return gr.HTML({}, html_template="", js_on_load=asset("parts/masks.js"), apply_default_css=False)


def other_model(desk: Desk, selection: Selection) -> Model | None:
    """The model that this one was compared with, if it is on this page."""
    model = desk.model(selection)
    if model.comparison is None:
        return None
    name = model.comparison.names[1]
    return next((one for one in desk.models.values() if one.artifact.backbone["id"] == name and one is not model), None)


def films_html(desk: Desk, selection: Selection) -> str:
    """When the concept appears in each, and the other's film under the one above; empty without another model here."""
    other = _with_film(desk, selection)
    if other is None:
        return ""
    concept = concept_of(desk, selection)
    name = wordnet().name(concept)
    here = desk.session(selection).node_probabilities([concept])[concept]
    there = desk.session(replace(selection, model=other.name)).node_probabilities([concept])[concept]
    film = Film(desk.photos.crop(other, selection.image, _SIDE), name, there)
    renamed = ";".join(f"--film-mask-{at}:var({_OTHER}{at})" for at in range(len(there)))
    said = "".join(
        f"<p><b>{esc(model)}</b>: {esc(told(name, {name: chances}))}</p>"
        for model, chances in ((selection.model, here), (other.name, there))
    )
    return (
        f'<h3>“{esc(name)}” in both models</h3>{said}<p class="hsae-hint">The film above is that of'
        f" {esc(selection.model)}; this one is that of {esc(other.name)}, on the same photo.</p>"
        f'<div style="{renamed}" inert>{film_html(film, "")}</div>'
    )


def masks_of_other(desk: Desk, selection: Selection) -> dict[str, Any]:
    """For masks.js."""
    other = _with_film(desk, selection)
    if other is None:
        return {}
    session = desk.session(replace(selection, model=other.name))
    maps = session.concept_maps(concept_of(desk, selection))
    return {"masks": {f"{_OTHER}{at}": mask_uri(found) for at, found in enumerate(maps.values())}}


def _with_film(desk: Desk, selection: Selection) -> Model | None:
    """The other model where both can be asked for the concept."""
    other, model = other_model(desk, selection), desk.model(selection)
    if other is None or not model.has_classes:
        return None
    return other if concept_of(desk, selection) in {node for _, node in other.concepts} else None
