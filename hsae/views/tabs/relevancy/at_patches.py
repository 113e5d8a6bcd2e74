"""Features of patches: which ones are active at the chosen patches, where else in this photograph, and in others."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from hsae.relevancy import RelevancyMap
from hsae.session import Session
from hsae.views.page.desk import Desk, said_name, trust, unsaid
from hsae.views.page.edit_text import read_patches
from hsae.views.page.models import Model
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import image_uri, short_layer
from hsae.views.parts.dim import mask_uri
from hsae.views.parts.few import few_html
from hsae.views.parts.markup import button, esc, number, table
from hsae.views.parts.patches import grid_of

_SHOWN, _PHOTOS, _SIDE = 6, 4, 112
_HINT = (
    "Another artifact of the same model reads its patches one by one. Bright in the small picture: where else in this"
    " photo the feature fires."
)


def at_patches_html(desk: Desk, selection: Selection) -> str:
    """A row for each of the strongest features at the chosen patches; empty where the model has none of patches."""
    patches, chosen = desk.model(selection).patches, read_patches(selection.patches)
    if patches is None:
        return ""
    if selection.layer not in patches.artifact.layers:
        return _elsewhere(patches.artifact.layers)
    cols = grid_of(desk, selection)[1]
    if not chosen:
        return '<p class="hsae-hint">Choose patches to see which features are active there.</p>'
    session = desk.photos.session(patches, selection.image)
    active = session.active_latents(selection.layer, _SHOWN, [divmod(patch, cols) for patch in chosen])
    photo = image_uri(desk.photos.crop(patches, selection.image, _SIDE))
    rows = [_row(patches, session, photo, selection.layer, row) for _, row in active.iterrows()]
    heads = ["feature of patches", "its name is", "strength", "where in this photo", "photos that move it most"]
    return (
        f"<h3>Active at the {len(chosen)} chosen patches, layer {esc(short_layer(selection.layer))}</h3>"
        f'{table("Features at the chosen patches", heads, rows)}<p class="hsae-hint">{_HINT}</p>'
    )


def _row(patches: Model, session: Session, photo: str, layer: str, row: pd.Series) -> list[str]:
    latent = int(row["latent"])
    keys = [key for key, _ in patches.artifact.top_images(layer)[latent]["starter"]]
    return [
        f'<span title="{esc(unsaid(row))}">{esc(said_name(row, latent))}</span>',
        trust(row) if row["said"] else "",
        number(row["strength"]),
        _dimmed(photo, session.activation_map(layer, latent)),
        few_html(keys, _PHOTOS),
    ]


def _dimmed(photo: str, found: RelevancyMap) -> str:
    return (
        f'<span class="hsae-still hsae-mini" style="--photo:url({photo})">'
        f'<i style="mask-image:url({mask_uri(found)})"></i></span>'
    )


def _elsewhere(layers: Sequence[str]) -> str:
    """Where features of patches are to be had."""
    faces = "".join(button(short_layer(layer), ("layer", layer)) for layer in layers)
    return f'<p class="hsae-hint">Features of single patches are known at the layers {faces}</p>'
