"""Tab Features: search over all layers, and the page of one feature."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pandas as pd

from hsae.hierarchy import wordnet
from hsae.report.shown_names import KEPT, status_of
from hsae.views.page.desk import Desk, feature_name
from hsae.views.page.models import Model
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import button, esc, notice
from hsae.views.parts.view import View, asset, picker
from hsae.views.tabs.compare.compare import matched_html
from hsae.views.tabs.feature.card import head_html, numbers_html
from hsae.views.tabs.feature.causal import causal_html
from hsae.views.tabs.feature.logits import logits_html
from hsae.views.tabs.feature.neighbours import neighbours_html
from hsae.views.tabs.feature.own_list import list_html
from hsae.views.tabs.feature.photographs import masks, mine_html, shots_html
from hsae.views.tabs.feature.profile import profile_html
from hsae.views.tabs.feature.search import results_html
from hsae.views.tabs.feature.walk import walk_html
from hsae.views.tabs.hierarchy.trees import family_html

_SILENT = "Every feature of this layer is silent. Pick another layer above."


def build(desk: Desk) -> list[View]:
    """Search and list, then one feature: buttons, evidence, pictures, and all that is related to it."""
    words = "a word, a class or a number: dog, wheels, 12"
    box = gr.Textbox(
        label="Find features in all layers", placeholder=f"{words}, or any words" if desk.texts else words,
        elem_id="feature-search", max_length=80,
    )  # fmt: skip
    found = picker(elem_id="feature-found")
    walk, head = picker(elem_id="feature-walk"), gr.HTML(apply_default_css=False, elem_id="feature")
    with gr.Row():
        with gr.Column(scale=0, min_width=170):
            mine = picker(elem_id="feature-mine")
        with gr.Column(scale=4, min_width=300):
            shown = picker(elem_id="feature-shots")
    dim = gr.HTML({}, html_template="", js_on_load=asset("parts/masks.js"), apply_default_css=False)
    rest, kept = picker(elem_id="feature-rest"), picker(elem_id="feature-list")
    one = ("model", "layer", "latent", "image")
    return [
        View("search", ("model",), [found], lambda s: [""], tab="feature", pickers=[found],
             answers=[(box.submit, lambda s, text: results_html(desk.model(s), text, desk.texts), box, found)]),
        View("walk", (*one, "kept"), [walk], lambda s: [_walk(desk, s)], tab="feature", pickers=[walk]),
        View("feature", one, [head, shown, rest], lambda s: _page(desk, s), tab="feature", pickers=[shown, rest]),
        View("mine", one, [mine], lambda s: [_mine(desk, s)], tab="feature", pickers=[mine], quiet=True),
        View("shots", (*one, "method"), [dim], lambda s: [_masks(desk, s)], tab="feature", later="heat maps",
             quiet=True),
        View("kept", ("model", "kept"), [kept], lambda s: [list_html(desk.model(s), s.kept)], tab="feature",
             pickers=[kept]),
    ]  # fmt: skip


def _walk(desk: Desk, selection: Selection) -> str:
    latent = desk.focus(selection)
    return notice(_SILENT) if latent is None else walk_html(desk.model(selection), selection, latent)


def _mine(desk: Desk, selection: Selection) -> str:
    latent = desk.focus(selection)
    return "" if latent is None else mine_html(desk, selection, latent)


def _masks(desk: Desk, selection: Selection) -> dict[str, Any]:
    latent = desk.focus(selection)
    return {} if latent is None else masks(desk, selection, latent)


def _page(desk: Desk, selection: Selection) -> list[str]:
    """Its name and evidence, its pictures, and all that is related to it."""
    model, latent = desk.model(selection), desk.focus(selection)
    if latent is None:
        return ["", "", ""]
    row, tau = model.latents(selection.layer).iloc[latent], model.artifact.taxonomy_rule["tau"]
    return [
        head_html(row, latent, selection.layer, tau),
        shots_html(desk, selection, latent),
        related_html(model, row, selection.layer, latent),
    ]


def related_html(model: Model, row: pd.Series, layer: str, latent: int) -> str:
    """All that is known of a feature beside its pictures."""
    random = {"monosemanticity": model.curve(layer, "monosemanticity_random")}
    return (
        logits_html(model, layer, latent, float(row["p999"]))
        + profile_html(model.profile(layer, latent), model.artifact.classes, row)
        + neighbours_html(model, layer, latent)
        + family_html(model.edges(layer), model.latents(layer), latent)
        + _elsewhere(model, row, layer)
        + matched_html(model, layer, latent)
        + causal_html(model.artifact.document("causal"), layer, latent, row)
        + numbers_html(row, random)
    )


def _elsewhere(model: Model, row: pd.Series, layer: str) -> str:
    """The features that tell the WordNet node it is named after best in the other layers."""
    nodes = (row["node"],) if status_of(row) == KEPT else (row["best_node"], row["lch"])
    node = next((node for node in nodes if isinstance(node, str)), None)
    scores = model.node_scores(node) if node is not None else {}
    faces = [
        button(f"{short_layer(name)}: {score:.2f}", ("feature", f"{name}:{latent}"), pressed=name == layer,
               title=f"{feature_name(model.latents(name).iloc[latent], latent)}, feature no. {latent}")
        for name, (latent, score) in scores.items()
    ]  # fmt: skip
    if node is None or not faces:
        return ""
    hint = "layer: how well the feature that tells it best there does; 1 = perfectly, 0 = by chance"
    about = f"<h3>“{esc(wordnet().name(node))}” in every layer</h3>"
    return f'{about}<p>{"".join(faces)}</p><p class="hsae-hint">{hint}</p>'
