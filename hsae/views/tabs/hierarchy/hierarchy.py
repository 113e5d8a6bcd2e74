"""Tab Hierarchy: where the features of a layer stand in WordNet, as a scatter and as a table."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pandas as pd

from hsae.errors import InputError
from hsae.hierarchy import wordnet
from hsae.report.shown_names import KEPT, OLDER, status, status_of
from hsae.views.page.desk import OLDER_RULE, Desk, feature_name, surest_first
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import esc, notice
from hsae.views.parts.view import View, asset, picker
from hsae.views.tabs.hierarchy.scatter import scatter_payload, scatter_points
from hsae.views.tabs.hierarchy.trees import concepts_html, feature_tree_html, wordnet_html

_CANVAS = (
    '<div class="hsae-scatter"><div class="hsae-filters" role="group" aria-label="Which features to show">'
    '<label>Find <input type="search" placeholder="node, word or no., e.g. mammal"></label>'
    '<label><input type="checkbox"> only what beats chance</label>'
    '<label>height <input type="number" class="low" min="0" max="20" value="0"> to'
    ' <input type="number" class="high" min="0" max="20" value="20" aria-label="largest height"></label>'
    '<output></output></div><canvas tabindex="0" role="application" aria-label="Features of this layer by height'
    ' and coverage. Arrow keys move between features, Enter opens one. The table below lists the same features.">'
    '</canvas><p class="hsae-read" aria-live="polite"></p></div>'
)


KINDS = ("two or more classes", "one class", "no clear class", "never fires", "named")

_NO_CLASSES = (
    "This model's features were found on images without labels, so they have no place in WordNet. The table below lists"
    " them by how often they fire."
)


def build(desk: Desk) -> list[View]:
    """Words, canvas, table and trees."""
    words = gr.HTML(apply_default_css=False)
    canvas = gr.HTML(
        {},
        html_template=_CANVAS,
        js_on_load=asset("tabs/hierarchy/scatter.js"),
        apply_default_css=False,
        elem_id="scatter",
    )
    gr.HTML("<h3>All features as a table: choose a row to open one</h3>", apply_default_css=False)
    kind = gr.Radio(KINDS, value=KINDS[0], show_label=False, container=False, elem_id="hierarchy-kind")
    listing = gr.Dataframe(
        interactive=False, max_height=320, show_label=False,
        show_search="filter", elem_id="hierarchy-table", wrap=True,
    )  # fmt: skip

    def listed(selection: Selection, kind: str) -> Any:
        return twin(desk.model(selection).latents(selection.layer), kind)

    with gr.Row():
        with gr.Column(min_width=300):
            tree = picker(elem_id="wordnet-tree")
        with gr.Column(min_width=300):
            features = picker(elem_id="feature-tree")
    reads = ("model", "layer")
    return [
        View(
            "hierarchy", (*reads, "latent"), [words, canvas], lambda s: _scatter(desk, s),
            tab="hierarchy", pickers=[canvas],
        ),
        View(
            "features", reads, [tree, features, listing, kind], lambda s: _features(desk, s),
            tab="hierarchy", pickers=[tree, features], tables=[listing], answers=[(kind.input, listed, kind, listing)],
        ),
    ]  # fmt: skip


def _scatter(desk: Desk, selection: Selection) -> list[Any]:
    model = desk.model(selection)
    table = model.latents(selection.layer)
    words = words_html(table, selection.layer) if model.has_classes else notice(_NO_CLASSES)
    return [words, scatter_payload(table, desk.focus(selection))]


def _features(desk: Desk, selection: Selection) -> list[Any]:
    model = desk.model(selection)
    table = model.latents(selection.layer)
    kind = KINDS[4] if (status(table) == KEPT).any() else KINDS[0] if model.has_classes else KINDS[2]
    wordnet_heading = "<h3>WordNet: which node do how many features own?</h3>"
    tree_heading = "<h3>The features' own tree</h3>"
    return [
        wordnet_heading + wordnet_html(model.taxonomy, model.branching, table) if model.has_classes else "",
        tree_heading
        + feature_tree_html(model.edges(selection.layer), table)
        + concepts_html(model.learned_concepts(selection.layer), table),
        twin(table, kind),
        kind,
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
        f" one class, {rest} without a clear class, {dead} that fire on no held-out image.</p>"
    )
    tested = scatter_points(latents)["q_value"]
    beyond = int((tested < 0.05).sum())
    chance = f"<p>{beyond} of the shown beat chance (q &lt; 0.05); the grey ones do not.</p>" * bool(
        tested.notna().any()
    )
    empty = notice("No feature of this layer belongs to two or more classes. Try a later layer.") if not points else ""
    return intro + counts + _names_html(latents) + chance + empty


def _names_html(latents: pd.DataFrame) -> str:
    """How many features have a name, and what kind of name."""
    of = status(latents)
    if (of == OLDER).all():
        return f"<p>{OLDER_RULE}</p>"
    kept = int((of == KEPT).sum())
    return (
        f"<p><b>{kept}</b> features have a name that proved true on photographs that had no part in choosing it; all"
        " others are unnamed.</p>"
    )


def of_kind(latents: pd.DataFrame, kind: str) -> pd.DataFrame:
    """The features of one of `KINDS`: those of the scatter best covered first, the others most frequent first.

    The named ones, which stand in one of the other kinds too: the most telling name first.
    """
    if kind == KINDS[0]:
        return scatter_points(latents).iloc[::-1]
    if kind == KINDS[4]:
        return surest_first(latents[status(latents) == KEPT], then=("frequency",))
    dead, one = latents["dead"], latents["n_classes"] == 1
    chosen = {KINDS[1]: one & ~dead, KINDS[2]: (latents["n_classes"] < 1) & ~dead, KINDS[3]: dead}
    return latents[chosen[kind]].sort_values("frequency", ascending=False, kind="stable")


def twin(latents: pd.DataFrame, kind: str = KINDS[0]) -> pd.DataFrame:
    """The features of a kind as a table, which can be searched; the first column is the latent's number."""
    if kind not in KINDS:
        raise InputError(f"features of the kind {kind!r:.40}", f"one of {', '.join(KINDS)}")
    points = of_kind(latents, kind)
    return pd.DataFrame(
        {
            "no.": points.index,
            "feature": [feature_name(row, latent) for latent, row in points.iterrows()],
            "also called": [_synonyms(row) for _, row in points.iterrows()],
            "name true in, %": _percent(points["node_precision"].where(status(points) == KEPT)),
            "classes meet in": [wordnet().name(node) if isinstance(node, str) else "" for node in points["lch"]],
            "height": points["lch_height"].astype("Int64"),
            "coverage, %": _percent(points["coverage"]),
            "classes": points["n_classes"],
            "fires on, %": (100 * points["frequency"].astype(float)).round(1),
        }
    )


def _percent(shares: pd.Series) -> pd.Series:
    return (100 * shares.astype(float)).round(0).astype("Int64")


def _synonyms(row: pd.Series) -> str:
    """Other words for the node that the feature is named after."""
    return ", ".join(wordnet().synonyms(row["node"])) if status_of(row) == KEPT else ""
