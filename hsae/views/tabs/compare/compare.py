"""Tab Compare: which features of this model have a partner in another one, at which depth, and what only one has."""

from __future__ import annotations

import numpy as np

from hsae.artifacts.documents.comparison import ComparisonReader, Pair
from hsae.hierarchy import wordnet
from hsae.views.page.desk import Desk, feature_name
from hsae.views.page.models import Model
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import cell_css, short_layer
from hsae.views.parts.few import few_html
from hsae.views.parts.markup import button, esc, named_node, notice, percent, table
from hsae.views.parts.view import View, picker
from hsae.views.tabs.compare.concepts import concepts_html, side_by_side_html
from hsae.views.tabs.compare.films import films_html, masks_of_other, other_masks, other_model

_NONE = (
    "This artifact was not compared with another model. Whoever made it can do so: python -m hsae compare"
    " RUN OTHER_RUN --add"
)
_PAIRS, _PHOTOS = 8, 4
_LEGIBLE = 16
"""Columns of the heatmap that have room for their numbers; of more, a number is read by hovering or from the pairs."""


def build(desk: Desk) -> list[View]:
    """Both films, a heatmap over pairs of layers, the pairs of the chosen cell, and the concepts of both."""
    films, dim = picker(elem_id="compare-films"), other_masks()
    heat, pairs, rest = picker(elem_id="compare"), picker(elem_id="compare-pairs"), picker(elem_id="compare-concepts")
    reads, looks = ("model", "layer", "pair"), ("model", "image", "concept", "layer")
    return [
        View("films", looks, [films], lambda s: [films_html(desk, s)], tab="compare", pickers=[films], quiet=True),
        View("film masks", looks[:3], [dim], lambda s: [masks_of_other(desk, s)], tab="compare", later="film",
             quiet=True),
        View("compare", reads, [heat], lambda s: [_heat(desk, s)], tab="compare", pickers=[heat]),
        View("pairs", reads, [pairs], lambda s: [_pairs(desk, s)], tab="compare", pickers=[pairs], quiet=True),
        View("concepts", reads[:1], [rest], lambda s: [_concepts(desk, s)], tab="compare", pickers=[rest], quiet=True),
    ]  # fmt: skip


def chosen_pair(reader: ComparisonReader, selection: Selection) -> tuple[str, str]:
    """The chosen layers, else the selected layer and the one of the other model where most of its latents partner."""
    a, _, b = selection.pair.partition(":")
    if b in reader.layers[1]:
        return a, b
    best = max(reader.layers[1], key=lambda other: reader.share(selection.layer, other)[0] or 0.0, default="")
    return selection.layer, best


def _heat(desk: Desk, selection: Selection) -> str:
    reader = desk.model(selection).comparison
    return notice(_NONE) if reader is None else heat_html(reader, chosen_pair(reader, selection))


def heat_html(reader: ComparisonReader, chosen: tuple[str, str]) -> str:
    """Share of the features of each layer (rows) with a partner in each layer of the other model (columns)."""
    first, second = reader.names
    rows = [layer for layer in reader.layers[0] if layer in reader.sizes]
    shares = {(a, b): reader.share(a, b) for a in rows for b in reader.layers[1]}
    most = max((share for share, _ in shares.values() if share is not None), default=0.0)
    cells = [
        [
            f"<b>{esc(short_layer(a))}</b>",
            *(_cell(a, b, *shares[a, b], most, (a, b) == chosen) for b in reader.layers[1]),
        ]
        for a in rows
    ]
    intro = (
        f'<p class="hsae-intro">Two features are partners when, of their {reader.k} strongest images, more are the same'
        " than for 99 of 100 features on shuffled images. A cell says which share of the features of"
        f" {esc(first)} (row) has a partner in a layer of {esc(second)} (column). Click a cell to see pairs.</p>"
    )
    heads = ["layer", *(short_layer(layer) for layer in reader.layers[1])]
    css = "hsae-matrix" if len(heads) <= _LEGIBLE else "hsae-matrix dense"
    listed = table(f"Share of features of {first} with a partner in {second}", heads, cells, css=css)
    alone = [within for _, within in shares.values() if within is not None]
    floor = " On shuffled images 1 % would have one"
    if alone:
        floor += f", and {percent(float(np.mean(alone)))} on average when images are exchanged within their class"
    return f'{intro}{listed}<p class="hsae-hint">brighter = more partners.{floor}.</p>'


def _cell(a: str, b: str, share: float | None, within: float | None, most: float, chosen: bool) -> str:
    title = f"{a} × {b}: {percent(share)} have a partner, {percent(within)} by class alone"
    face = button(percent(share), ("pair", f"{a}:{b}"), title=title, pressed=chosen)
    return f'<span style="{cell_css((share or 0) / (most or 1))}">{face}</span>'


def _pairs(desk: Desk, selection: Selection) -> str:
    model = desk.model(selection)
    reader = model.comparison
    if reader is None:
        return ""
    other = other_model(desk, selection)
    return pairs_html(model, reader, chosen_pair(reader, selection), "" if other is None else other.name)


def pairs_html(model: Model, reader: ComparisonReader, layers: tuple[str, str], there: str = "") -> str:
    """The pairs of two layers that share most images, each with the photographs that move them.

    there: name of the other model on this page, if it is here.
    """
    a, b = layers
    pairs = reader.strongest(a, b)[:_PAIRS]
    head = f"<h3>{esc(reader.names[0])} {esc(short_layer(a))} and {esc(reader.names[1])} {esc(short_layer(b))}</h3>"
    if not pairs:
        return head + notice("No feature of these two layers has a partner. Click a brighter cell.")
    rows = [
        [
            button(feature_name(model.latents(a).iloc[pair.latent], pair.latent), ("feature", f"{a}:{pair.latent}"))
            + few_html((key for key, _ in model.artifact.top_images(a)[pair.latent]["starter"]), _PHOTOS),
            f"{pair.shared} of {reader.k}{' ⇄' if pair.mutual else ''}",
            partner_html(reader, pair, there),
        ]
        for pair in pairs
    ]
    heads = [reader.names[0], "shared images", reader.names[1]]
    hint = '<p class="hsae-hint">⇄: each is the other\'s best. Photos: the starter photographs that move it most.</p>'
    return head + table("Pairs of features", heads, rows, css="hsae-pairs") + hint


def partner_html(reader: ComparisonReader, pair: Pair, there: str = "") -> str:
    """A feature of the other model, which opens to its card: all from the comparison, so its model need not be here."""
    latent = reader.other(pair.layer, pair.partner)
    name = wordnet().name(latent.node) if latent.node else "no clear class"
    go = button("open its page", ("place", f"{there}|{pair.layer}:{pair.partner}")) if there else ""
    means = f" Its node: {named_node(latent.node)}, {esc(wordnet().gloss(latent.node))}." if latent.node else ""
    both = " Each of the two is the other's best partner." if pair.mutual else ""
    return (
        f"{esc(name)} <small>no. {pair.partner}</small>{few_html(latent.photos, _PHOTOS)}"
        f'<details class="hsae-partner"><summary>its card</summary><p>Feature no. {pair.partner} of layer'
        f" {esc(short_layer(pair.layer))} of {esc(reader.names[1])}.{means} {pair.shared} of its {reader.k} strongest"
        f" images are among those of this one.{both} {go}</p>{few_html(latent.photos, len(latent.photos))}</details>"
    )


def _concepts(desk: Desk, selection: Selection) -> str:
    reader = desk.model(selection).comparison
    return "" if reader is None else concepts_html(reader) + side_by_side_html(reader)


def matched_html(model: Model, layer: str, latent: int) -> str:
    """For a feature's card: its partner in the other model, or that it has none; empty without a comparison."""
    reader = model.comparison
    if reader is None:
        return ""
    pair, other = reader.partner(layer, latent), esc(reader.names[1])
    if pair is None:
        return f"<h3>In {other}</h3><p>No feature there shares more of its strongest images than chance would give.</p>"
    mutual = ", and each is the other's best" if pair.mutual else ""
    go = button("compare these layers", ("pair", f"{layer}:{pair.layer}"))
    return (
        f"<h3>In {other}</h3><p>Layer {esc(short_layer(pair.layer))}: {partner_html(reader, pair)}"
        f"They share {pair.shared} of their {reader.k} strongest images{mutual}. {go}</p>"
    )
