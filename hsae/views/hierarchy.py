"""Tab Hierarchy: where the features of a layer stand in WordNet, as a scatter and as a table."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pandas as pd

from hsae.hierarchy import wordnet
from hsae.views.desk import Desk, feature_name
from hsae.views.figures import scatter_payload, scatter_points, short_layer
from hsae.views.markup import esc, notice
from hsae.views.state import Selection
from hsae.views.view import View, asset

_CANVAS = (
    '<div class="hsae-scatter"><canvas tabindex="0" role="application" aria-label="Features of this layer by height'
    ' and coverage. Arrow keys move between features, Enter opens one. The table below lists the same features.">'
    '</canvas><p class="hsae-read" aria-live="polite"></p></div>'
)


def build(desk: Desk) -> tuple[View, gr.Dataframe]:
    """Words, canvas and table; the table is returned because choosing a row of it needs the row."""
    words = gr.HTML(apply_default_css=False)
    canvas = gr.HTML(
        {}, html_template=_CANVAS, js_on_load=asset("scatter.js"), apply_default_css=False, elem_id="scatter"
    )
    gr.HTML("<h3>The same as a table: choose a row to open the feature</h3>", apply_default_css=False)
    listing = gr.Dataframe(
        interactive=False, max_height=320, show_label=False,
        show_search="filter", elem_id="hierarchy-table", wrap=True,
    )  # fmt: skip
    view = View(
        "hierarchy", ("model", "layer", "latent"), [words, canvas, listing], lambda s: _render(desk, s),
        tab="hierarchy", pickers=[canvas],
    )  # fmt: skip
    return view, listing


def _render(desk: Desk, selection: Selection) -> list[Any]:
    table = desk.model(selection).latents(selection.layer)
    return [
        words_html(table, selection.layer),
        scatter_payload(table, desk.focus(selection)),
        twin(table),
    ]


def words_html(latents: pd.DataFrame, layer: str) -> str:
    """What the scatter shows and how many features it cannot show."""
    points = len(scatter_points(latents))
    dead, one = int(latents["dead"].sum()), int((latents["n_classes"] == 1).sum())
    rest = len(latents) - points - dead - one
    intro = (
        '<p class="hsae-intro">Each dot is a feature that fires for several classes. <b>Height</b>: how far up WordNet'
        " those classes meet (0 = a single class, high = very general). <b>Coverage</b>: the share of the classes below"
        " that meeting point that the feature fires for. Top right are features that own a general concept.</p>"
    )
    counts = (
        f"<p>Layer {esc(short_layer(layer))}: <b>{points}</b> features of two or more classes (shown), {one} of exactly"
        f" one class, {rest} without a clear class, {dead} that never fire.</p>"
    )
    tested = scatter_points(latents)["q_value"]
    beyond = int((tested < 0.05).sum())
    chance = f"<p>{beyond} of the shown beat chance (q &lt; 0.05); the grey ones do not.</p>" * bool(
        tested.notna().any()
    )
    empty = notice("No feature of this layer belongs to two or more classes. Try a later layer.") if not points else ""
    return intro + counts + chance + empty


def twin(latents: pd.DataFrame) -> pd.DataFrame:
    """The shown features as a table, best covered first; the first column is the latent's number."""
    points = scatter_points(latents).iloc[::-1]
    return pd.DataFrame(
        {
            "no.": points.index,
            "feature": [feature_name(row, latent) for latent, row in points.iterrows()],
            "classes meet in": [wordnet().name(node) if isinstance(node, str) else "" for node in points["lch"]],
            "height": points["lch_height"].astype(int),
            "coverage, %": (100 * points["coverage"].astype(float)).round(0).astype(int),
            "classes": points["n_classes"],
            "fires on, %": (100 * points["frequency"].astype(float)).round(1),
        }
    )
