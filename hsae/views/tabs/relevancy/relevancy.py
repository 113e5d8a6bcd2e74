"""Tab Where: where in the photograph a concept and a feature come from, how true that is, and what is at a place."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import gradio as gr
import numpy as np

from hsae.artifacts.documents.faithfulness import read_gap
from hsae.errors import HsaeError
from hsae.relevancy import METHODS, RelevancyMap
from hsae.views.page.desk import Desk, feature_name
from hsae.views.page.edit_text import read_patches
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import short_layer
from hsae.views.parts.left import go_on
from hsae.views.parts.markup import esc, notice, percent
from hsae.views.parts.patches import grid_payload, patch_grid
from hsae.views.parts.say import brief
from hsae.views.parts.view import View, asset, picker
from hsae.views.tabs.relevancy.at_patches import at_patches_html, masks
from hsae.views.tabs.relevancy.colours import colours_html
from hsae.views.tabs.relevancy.explained import Explained, explained, method_of
from hsae.views.tabs.relevancy.overlay import overlay_html
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
_SILENT = (
    "The feature “{name}” is not active in this photo at layer {layer}, so nothing makes it fire. Pick one of the"
    " active features on the left, or, on the feature's page, a photo that moves it."
)
_ALL_SILENT = "Every feature of this layer is silent. Pick another layer above."
_PATCHES = "<h3>What is at a place?</h3>"


def build(desk: Desk) -> list[View]:
    """Maps with their own tests, patches to choose with what is active there, and features side by side."""
    with gr.Row():
        look = gr.Radio(_LOOKS, value="dim", label="Show where by", elem_id="look", min_width=220)
        opacity = gr.Slider(
            0, 1, 0.6, step=0.05, label="Opacity of the paint", elem_id="opacity", buttons=[], min_width=220
        )
    panel, removed = picker(elem_id="relevancy"), gr.HTML(apply_default_css=False, elem_id="removal")
    gr.HTML(_PATCHES, apply_default_css=False)
    with gr.Row():
        with gr.Column(min_width=280):
            grid = patch_grid("relevancy-patches")
            share = gr.HTML(apply_default_css=False, elem_id="relevancy-share")
        with gr.Column(min_width=300, scale=2):
            at_patches = picker(elem_id="at-patches")
    colours = picker(elem_id="colours")
    dim = gr.HTML({}, html_template="", js_on_load=asset("parts/masks.js"), apply_default_css=False)
    with gr.Accordion("How the maps are made", open=False):
        choices = [(_NAMES.get(name, name), name) for name in METHODS]
        method = gr.Dropdown(choices, label="Method", value=None, elem_id="method")
    opacity.input(None, opacity, None, js=_FADE, api_visibility="private")
    look.input(None, look, None, js=_LOOK, api_visibility="private")
    reads = ("model", "layer", "latent", "image", "concept", "method")
    where = ("model", "layer", "image", "patches", "marks")
    return [
        View("patches", ("model", "layer", "image", "patches"), [grid],
             lambda s: [gr.HTML(grid_payload(desk, s), visible=True)], tab="relevancy", pickers=[grid], quiet=True),
        View("at-patches", where, [at_patches], lambda s: [at_patches_html(desk, s)], tab="relevancy",
             pickers=[at_patches], quiet=True),
        View("relevancy", reads, [panel, method], lambda s: _render(desk, s), tab="relevancy", later="heat maps",
             pickers=[panel], choosers=[(method.input, "method", method)]),
        View("share", (*reads, "patches"), [share], lambda s: [_share(desk, s)], tab="relevancy", later="heat maps",
             quiet=True),
        View("colours", ("model", "layer", "image", "marks", "method"), [colours], lambda s: [colours_html(desk, s)],
             tab="relevancy", later="heat maps", pickers=[colours], quiet=True),
        View("removal", reads, [removed], lambda s: [_removal(desk, s)], tab="relevancy", later="removal curves",
             quiet=True),
        View("examples", where, [dim], lambda s: [masks(desk, s)], tab="relevancy", later="examples", quiet=True),
    ]  # fmt: skip


def _render(desk: Desk, selection: Selection) -> list[Any]:
    model = desk.model(selection)
    usable = [(_NAMES.get(name, name), name) for name in model.methods]
    crop = desk.photos.crop(model, selection.image)
    faces = [_tried(one, partial(overlay_html, crop)) for one in explained(desk, selection)] + _silent(desk, selection)
    swiped = 'class="hsae-maps" role="group" aria-label="Where in the photo" tabindex="0"'  # on a phone, with keys too
    return [f"<div {swiped}>{''.join(faces)}</div>", gr.Dropdown(usable, value=method_of(desk, selection))]


def _tried(one: Explained, show: Callable[[Explained], str]) -> str:
    """A picture, or why there is none: not every method has a map of a concept."""
    go_on()
    try:
        return show(one)
    except HsaeError as error:
        return f'<div class="hsae-heat">{notice(f"{one.name}: {brief(error)}")}</div>'


def _silent(desk: Desk, selection: Selection) -> list[str]:
    """What stands in place of the feature's map where it has none."""
    latent, layer = desk.focus(selection), selection.layer
    if latent is None:
        return [notice(_ALL_SILENT)]
    if any(one.latent == latent for one in explained(desk, selection)):
        return []
    name = feature_name(desk.model(selection).latents(layer).iloc[latent], latent)
    return [notice(_SILENT.format(name=name, layer=short_layer(layer)))]


def _share(desk: Desk, selection: Selection) -> str:
    chosen = read_patches(selection.patches)
    if not chosen:
        return share_html({}, ())
    return share_html({one.name: one.map() for one in explained(desk, selection)}, chosen)


def _removal(desk: Desk, selection: Selection) -> str:
    document, method = desk.model(selection).artifact.document("faithfulness"), method_of(desk, selection)

    def show(one: Explained) -> str:
        typical = None if one.latent is None else read_gap(document, selection.layer, one.latent, method)
        return removal_html(one.name, one.curve(), typical)

    tests = "".join(_tried(one, show) for one in explained(desk, selection))
    return f'<div class="hsae-maps">{tests}</div>'


def share_html(maps: Mapping[str, RelevancyMap], patches: Sequence[int]) -> str:
    """How much of the positive relevance of each map, by name, lies in the chosen patches, beside their own share."""
    if not patches:
        return '<p class="hsae-hint">Choose patches to see how much of the light above lies in them.</p>'
    held = {name: held_by(found, patches) for name, found in maps.items()}
    told = ", ".join(f"<b>{percent(share)}</b> of “{esc(name)}”" for name, share in held.items())
    n = max((found.values.size for found in maps.values()), default=0)
    area = len([patch for patch in patches if patch < n]) / n if n else 0
    one = len(patches) == 1
    words = "The chosen patch is" if one else f"The {len(patches)} chosen patches are"
    return f"<p>{words} {percent(area)} of the picture and hold{'s' * one} {told}.</p>" if told else ""


def held_by(found: RelevancyMap, patches: Sequence[int]) -> float:
    """The share of a map's positive relevance that lies in some patches, in [0, 1]; nan where there is none."""
    values = np.clip(found.values.ravel(), 0, None)
    chosen = [patch for patch in patches if patch < len(values)]
    total = float(values.sum())
    return float(values[chosen].sum()) / total if total else float("nan")
