"""Tab Feature: one feature's card, the heat maps of its photographs, and all that is related to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pandas as pd
from PIL import Image

from hsae.hierarchy import wordnet
from hsae.relevancy import RelevancyMap
from hsae.report.shown_names import KEPT, status_of
from hsae.views.page.desk import Desk, feature_name
from hsae.views.page.models import Model
from hsae.views.page.photos import starter_keys
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import gradient_css, heat_image, image_uri, is_signed, short_layer, strongest_place
from hsae.views.parts.markup import button, esc, notice, number, picture_button
from hsae.views.parts.view import View, picker
from hsae.views.tabs.compare.compare import matched_html
from hsae.views.tabs.feature.card import card_html, numbers_html
from hsae.views.tabs.feature.causal import causal_html
from hsae.views.tabs.feature.own_images import own_images_html
from hsae.views.tabs.feature.profile import profile_html
from hsae.views.tabs.hierarchy.trees import family_html
from hsae.views.tabs.relevancy.relevancy import method_of

_HEATED, _HEAT_SIDE = 6, 160


def build(desk: Desk) -> list[View]:
    """The card, and heat maps of its photographs, which take a moment."""
    card, heats, numbers = picker(elem_id="feature"), picker(elem_id="feature-heats"), picker(elem_id="feature-numbers")
    reads = ("model", "layer", "latent", "image")
    return [
        View("feature", reads, [card, numbers], lambda s: _card(desk, s), tab="feature", pickers=[card, numbers]),
        View("heats", reads, [heats], lambda s: [_heats(desk, s)], tab="feature", later="heat maps", quiet=True,
             pickers=[heats]),
    ]  # fmt: skip


def _heats(desk: Desk, selection: Selection) -> str:
    model, latent = desk.model(selection), desk.focus(selection)
    if latent is None:
        return ""
    names = starter_keys()
    best = model.artifact.top_images(selection.layer)[latent]["starter"]
    keys = [key for key, value in best if key in names and value > 0][:_HEATED]
    method = method_of(desk, selection)
    maps = {key: desk.session(replace(selection, image=key)).relevancy(selection.layer, latent, method) for key in keys}
    crops = {key: desk.photos.crop(model, key, _HEAT_SIDE) for key in keys}
    return heats_html(crops, maps)


def heats_html(crops: Mapping[str, Image.Image], maps: Mapping[str, RelevancyMap]) -> str:
    """Photographs with their heat maps on one scale of colour, the largest `limit` of all; empty without any."""
    if not maps:
        return ""
    limit, names = max(one.limit for one in maps.values()), starter_keys()
    faces = "".join(
        picture_button(
            image_uri(Image.blend(crop, heat_image(maps[key], crop.width, limit), 0.55)),
            f"Heat map on {names[key]}: strongest at the {strongest_place(maps[key].values)}",
            ("image", key),
            caption=names[key],
        )
        for key, crop in crops.items()
    )
    signed = any(map(is_signed, maps.values()))
    ends = f"<span>{number(-limit) if signed else 0}</span><span>{number(limit)}</span>"
    return (
        f'<h3>Where in these photos it comes from, on one scale</h3><div class="hsae-top">{faces}</div>'
        f'<div class="hsae-scale narrow" style="background:{gradient_css(signed=signed)}"></div>'
        f'<div class="hsae-ends narrow">{ends}</div>'
    )


def _card(desk: Desk, selection: Selection) -> list[str]:
    model, latent = desk.model(selection), desk.focus(selection)
    if latent is None:
        return [notice("Every feature of this layer is silent. Pick another layer above."), ""]
    table = model.latents(selection.layer)
    best = [(key, value) for key, value in model.artifact.top_images(selection.layer)[latent]["starter"]]
    row, tau = table.iloc[latent], model.artifact.taxonomy_rule["tau"]
    related = family_html(model.edges(selection.layer), table, latent) + _elsewhere(model, row, selection.layer)
    related += matched_html(model, selection.layer, latent)
    related += causal_html(model.artifact.document("causal"), selection.layer, latent, row)
    random = {"monosemanticity": model.curve(selection.layer, "monosemanticity_random")}
    drawn = profile_html(model.profile(selection.layer, latent), model.artifact.classes, row)
    own = own_images_html(model.artifact, selection.layer, latent)
    return [card_html(row, latent, selection.layer, best, tau, own), drawn + related + numbers_html(row, random)]


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
