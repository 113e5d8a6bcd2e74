"""Tab Relevancy: where in the photograph a feature comes from."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from hsae.relevancy import METHODS, RelevancyMap
from hsae.views.desk import Desk, feature_name
from hsae.views.figures import gradient_css, heat_image, image_uri, is_signed, short_layer, strongest_place
from hsae.views.markup import esc, notice, number
from hsae.views.state import Selection
from hsae.views.view import View, picker

_NAMES = {
    "gradient_rollout": "gradient × attention rollout",
    "attention_rollout": "attention rollout (control: the same for every feature)",
    "input_gradient": "input × gradient (signed, noisy)",
    "activation": "activation in each patch",
    "projection": "similarity of each patch (signed)",
}
_FADE = "(value) => { document.documentElement.style.setProperty('--hsae-heat', value); }"
_SIDE = 448
_SILENT = (
    "“{name}” is not active in this photo at layer {layer}: there is nothing to explain. Pick one of the active"
    " features on the left, or, on the feature's card, a photo that moves it."
)


def build(desk: Desk) -> View:
    """Overlay, method and opacity."""
    with gr.Row():
        choices = [(_NAMES.get(name, name), name) for name in METHODS]
        method = gr.Dropdown(choices, label="Method", value=None, elem_id="method", scale=2, min_width=260)
        opacity = gr.Slider(
            0, 1, 0.6, step=0.05, label="Opacity of the heat", elem_id="opacity", buttons=[], min_width=260
        )
    panel = picker(elem_id="relevancy")
    opacity.input(None, opacity, None, js=_FADE, api_visibility="private")
    reads = ("model", "layer", "latent", "image", "method")
    return View(
        "relevancy", reads, [panel, method], lambda s: _render(desk, s), tab="relevancy", pickers=[panel],
        choosers=[(method.input, "method", method)],
    )  # fmt: skip


def default_method(desk: Desk, selection: Selection) -> str:
    """The natural map of an SAE trained on patches is its own activation; else gradient x attention rollout."""
    return "activation" if desk.model(selection).artifact.token == "patch" else "gradient_rollout"


def _render(desk: Desk, selection: Selection) -> list[Any]:
    session, model = desk.session(selection), desk.model(selection)
    method, latent = selection.method or default_method(desk, selection), desk.focus(selection)
    if latent is None:
        return [notice("Every feature of this layer is silent. Pick another layer above."), method]
    name = feature_name(model.latents(selection.layer).iloc[latent], latent)
    active = desk.active(selection).set_index("latent")
    if latent not in active.index:
        return [notice(_SILENT.format(name=name, layer=short_layer(selection.layer))), method]
    found = session.relevancy(selection.layer, latent, method)
    crop = desk.photos.crop(model, selection.image, _SIDE)
    return [overlay_html(crop, found, name, float(active.loc[latent, "activation"])), method]


def overlay_html(crop: Image.Image, found: RelevancyMap, name: str, activation: float) -> str:
    """The square the model sees with the map over it, and a legend on the map's own scale."""
    photo, heat = image_uri(crop), image_uri(heat_image(found, _SIDE), "PNG")
    place = strongest_place(found.values)
    alt = f"Heat map of {name}: strongest at the {place}"
    return (
        f"<p>Which parts of the photo make <b>{esc(name)}</b> fire at layer {esc(short_layer(found.layer))}"
        f" (activation {number(activation)})? Strongest: <b>{place}</b>.</p>"
        f'<div class="hsae-heats"><figure class="hsae-heat"><div><img src="{photo}" alt="">'
        f'<img class="over" src="{heat}" alt="{esc(alt)}"></div>{legend_html(found)}</figure>'
        f'<figure class="hsae-heat"><div><img src="{photo}" alt="The square of the photo that the model sees"></div>'
        "<figcaption>the square of the photo that the model sees</figcaption></figure></div>"
    )


def legend_html(found: RelevancyMap) -> str:
    """The colour scale with its numbers; the ends are where `RelevancyMap.displayed` stops telling values apart."""
    limit, signed = found.limit, is_signed(found)
    ends = (-limit, 0.0, limit) if signed else (0.0, limit / 2, limit)
    texts = "".join(f"<span>{number(value)}</span>" for value in ends)
    top = float(np.abs(found.values).max())
    beyond = f"; the strongest patch has {number(top)}" if top > limit else ""
    rows, cols = found.values.shape
    return (
        f'<figcaption><div class="hsae-scale" style="background:{gradient_css(signed=signed)}"></div>'
        f'<div class="hsae-ends">{texts}</div>relevance per patch'
        f" ({rows} × {cols} patches), on the method's own scale{beyond}</figcaption>"
    )
