"""Tab Relevancy: where in the photograph a feature comes from, and how true the map is."""

from __future__ import annotations

from typing import Any

import gradio as gr
import numpy as np
from PIL import Image

from hsae.relevancy import METHODS, RelevancyMap, default_method
from hsae.views.page.desk import Desk, feature_name
from hsae.views.page.edit_text import read_patches
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import gradient_css, heat_image, image_uri, is_signed, short_layer, strongest_place
from hsae.views.parts.dim import mask_uri
from hsae.views.parts.markup import esc, notice, number, percent
from hsae.views.parts.patches import grid_payload, patch_grid
from hsae.views.parts.view import View, picker
from hsae.views.tabs.relevancy.at_patches import at_patches_html
from hsae.views.tabs.relevancy.removal import removal_html

_NAMES = {
    "gradient_rollout": "gradient × attention rollout",
    "attn_lrp": "relevance propagation (AttnLRP rules, signed)",
    "legrad": "LeGrad (gradients of attention, block by block)",
    "direct": "what the last block's attention brings (signed)",
    "grad_cam": "Grad-CAM",
    "input_gradient": "input × gradient (signed, noisy)",
    "attention_rollout": "attention rollout (control: the same for every feature)",
    "activation": "activation in each patch",
    "projection": "similarity of each patch (signed)",
}
_FADE = "(value) => { document.documentElement.style.setProperty('--hsae-heat', value); }"
_LOOK = """(value) => {
  for (const look of ["dim", "paint"])
    document.documentElement.style.setProperty(`--hsae-${look}`, look === value ? "block" : "none");
}"""
"""Variables: Gradio keeps the style sheet inside its container, where no attribute of the page can be asked for."""
_LOOKS = [("dim the rest", "dim"), ("paint a heat map", "paint")]
_SIDE = 448
_SILENT = (
    "“{name}” is not active in this photo at layer {layer}: there is nothing to explain. Pick one of the active"
    " features on the left, or, on the feature's card, a photo that moves it."
)


def build(desk: Desk) -> list[View]:
    """Overlay, method and opacity, patches to choose, and what removing patches does."""
    with gr.Row():
        choices = [(_NAMES.get(name, name), name) for name in METHODS]
        method = gr.Dropdown(choices, label="Method", value=None, elem_id="method", scale=2, min_width=260)
        look = gr.Radio(_LOOKS, value="dim", label="Show where by", elem_id="look", min_width=220)
        opacity = gr.Slider(
            0, 1, 0.6, step=0.05, label="Opacity of the paint", elem_id="opacity", buttons=[], min_width=220
        )
    with gr.Row():
        with gr.Column(min_width=280):
            panel = picker(elem_id="relevancy")
        with gr.Column(min_width=280):
            grid = patch_grid("relevancy-patches")
            share = gr.HTML(apply_default_css=False, elem_id="relevancy-share")
    at_patches = picker(elem_id="at-patches")
    removed = gr.HTML(apply_default_css=False, elem_id="removal")
    opacity.input(None, opacity, None, js=_FADE, api_visibility="private")
    look.input(None, look, None, js=_LOOK, api_visibility="private")
    reads = ("model", "layer", "latent", "image", "method")
    return [
        View("relevancy", reads, [panel, method], lambda s: _render(desk, s), tab="relevancy", later="heat maps",
             pickers=[panel], choosers=[(method.input, "method", method)]),
        View("patches", (*reads, "patches"), [share, grid], lambda s: _patches(desk, s), tab="relevancy",
             later="heat maps", pickers=[grid], quiet=True),
        View("at-patches", ("model", "layer", "image", "patches"), [at_patches], lambda s: [at_patches_html(desk, s)],
             tab="relevancy", later="heat maps", pickers=[at_patches], quiet=True),
        View("removal", reads, [removed], lambda s: [_removal(desk, s)], tab="relevancy", later="removal curves",
             quiet=True),
    ]  # fmt: skip


def method_of(desk: Desk, selection: Selection) -> str:
    """The chosen method, else the one that measures as the truest for such a model."""
    model = desk.model(selection)
    return selection.method or default_method(model.session().backbone, selection.layer, model.artifact.token)


def _active_latent(desk: Desk, selection: Selection) -> tuple[int, float] | None:
    """The chosen latent and its activation, when it is active in the photograph."""
    latent, active = desk.focus(selection), desk.active(selection).set_index("latent")["activation"]
    return None if latent is None or latent not in active.index else (latent, float(active[latent]))


def _map(desk: Desk, selection: Selection, latent: int) -> RelevancyMap:
    return desk.session(selection).relevancy(selection.layer, latent, method_of(desk, selection))


def _render(desk: Desk, selection: Selection) -> list[Any]:
    model, latent = desk.model(selection), desk.focus(selection)
    usable = [(_NAMES.get(name, name), name) for name in model.methods]
    shown = gr.Dropdown(usable, value=method_of(desk, selection))
    if latent is None:
        return [notice("Every feature of this layer is silent. Pick another layer above."), shown]
    name = feature_name(model.latents(selection.layer).iloc[latent], latent)
    active = _active_latent(desk, selection)
    if active is None:
        return [notice(_SILENT.format(name=name, layer=short_layer(selection.layer))), shown]
    crop = desk.photos.crop(model, selection.image, _SIDE)
    return [overlay_html(crop, _map(desk, selection, latent), name, active[1]), shown]


def _patches(desk: Desk, selection: Selection) -> list[Any]:
    active = _active_latent(desk, selection)
    grid = gr.HTML(grid_payload(desk, selection), visible=True)
    if active is None:
        return ["", gr.HTML({}, visible=False)]
    return [share_html(_map(desk, selection, active[0]), read_patches(selection.patches)), grid]


def _removal(desk: Desk, selection: Selection) -> str:
    active, model = _active_latent(desk, selection), desk.model(selection)
    if active is None:
        return ""
    method = method_of(desk, selection)
    curve = desk.session(selection).faithfulness(selection.layer, active[0], method)
    return removal_html(curve, model.artifact.document("faithfulness"), selection.layer, active[0], method)


def overlay_html(crop: Image.Image, relevancy: RelevancyMap, name: str, activation: float) -> str:
    """The square the model sees, dimmed where the map says nothing for it; the map itself over it, and its scale.

    The page shows one of the two, as the visitor chooses (`#look`).
    """
    photo, heat = image_uri(crop), image_uri(heat_image(relevancy, _SIDE), "PNG")
    place = strongest_place(relevancy.values)
    alt = f"Heat map of {name}: strongest at the {place}"
    return (
        f"<p>Which parts of the photo make <b>{esc(name)}</b> fire at layer {esc(short_layer(relevancy.layer))}"
        f" (activation {number(activation)})? Strongest: <b>{place}</b>.</p>"
        f'<figure class="hsae-heat"><div><img src="{photo}" alt="">'
        f'<img class="over hsae-painted" src="{heat}" alt="{esc(alt)}">'
        f'<span class="hsae-still" role="img" aria-label="{esc(alt)}" style="--photo:url({photo})">'
        f'<i style="mask-image:url({mask_uri(relevancy)})"></i></span></div>{legend_html(relevancy)}</figure>'
    )


def legend_html(relevancy: RelevancyMap) -> str:
    """The colour scale with its numbers; the ends are where `RelevancyMap.displayed` stops telling values apart."""
    limit, signed = relevancy.limit, is_signed(relevancy)
    ends = (-limit, 0.0, limit) if signed else (0.0, limit / 2, limit)
    texts = "".join(f"<span>{number(value)}</span>" for value in ends)
    top = float(np.abs(relevancy.values).max())
    beyond = f"; the strongest patch has {number(top)}" if top > limit else ""
    rows, cols = relevancy.values.shape
    return (
        '<figcaption><div class="hsae-painted">'
        f'<div class="hsae-scale" style="background:{gradient_css(signed=signed)}"></div>'
        f'<div class="hsae-ends">{texts}</div></div>relevance per patch'
        f" ({rows} × {cols} patches), on the method's own scale{beyond}</figcaption>"
    )


def share_html(relevancy: RelevancyMap, patches: tuple[int, ...]) -> str:
    """How much of the positive relevance lies in the chosen patches, beside their share of the picture."""
    values = np.clip(relevancy.values.ravel(), 0, None)
    chosen = [patch for patch in patches if patch < len(values)]
    if not chosen or not values.sum():
        return '<p class="hsae-hint">Choose patches to see how much of the relevance lies in them.</p>'
    held, area = float(values[chosen].sum() / values.sum()), len(chosen) / len(values)
    return (
        f"<p>The {len(chosen)} chosen patches are {percent(area)} of the picture and hold <b>{percent(held)}</b> of the"
        " relevance.</p>"
    )
