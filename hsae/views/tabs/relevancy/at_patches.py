"""Features of patches: which ones are active at the chosen patches, where else in this photograph, and in others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from hsae.relevancy import RelevancyMap
from hsae.session import Session
from hsae.views.page.desk import Desk, said_name, trust, unsaid
from hsae.views.page.edit_text import read_patches
from hsae.views.page.kept import read_kept
from hsae.views.page.models import Model
from hsae.views.page.selection import MARKS, Selection
from hsae.views.parts.charts import image_uri, short_layer
from hsae.views.parts.dim import mask_uri
from hsae.views.parts.markup import button, esc, number, table
from hsae.views.parts.patches import grid_of
from hsae.views.tabs.relevancy.elsewhere import other_masks, others_html

_SHOWN, _SIDE = 6, 112
_HINT = (
    "Another set of features of the same model reads its patches one by one. Bright: where the feature fires. Click a"
    " feature to see it in a colour below, beside others."
)


def at_patches_html(desk: Desk, selection: Selection) -> str:
    """A row for each of the strongest features at the chosen patches; empty where the model has none of patches."""
    patches = desk.model(selection).patches
    if patches is None:
        return ""
    if selection.layer not in patches.artifact.layers:
        return _elsewhere(patches.artifact.layers)
    if not selection.patches:
        return '<p class="hsae-hint">Choose patches to see which features are active there.</p>'
    active, n = _active(desk, patches, selection), len(read_patches(selection.patches))
    session = desk.photos.session(patches, selection.image)
    photo = image_uri(desk.photos.crop(patches, selection.image, _SIDE))
    marked = _marked(desk.model(selection), selection)
    rows = [_row(patches, session, photo, row, marked) for _, row in active.assign(layer=selection.layer).iterrows()]
    heads = ["feature of patches", "strength", "in this photo", "in those that move it most"]
    return (
        f"<h3>Active at the {_patches(n)}, layer {esc(short_layer(selection.layer))}</h3>"
        f'{table("Features at the chosen patches", heads, rows)}<p class="hsae-hint">{_HINT}</p>'
    )


def masks(desk: Desk, selection: Selection) -> dict[str, Any]:
    """For masks.js: where the features at the chosen patches, and those in colours, fire in other photographs."""
    model = desk.model(selection)
    if model.patches is None or selection.layer not in model.patches.artifact.layers:
        return {}
    here = _active(desk, model.patches, selection)["latent"].astype(int).tolist() if selection.patches else []
    return other_masks(model.patches, selection.layer, dict.fromkeys([*here, *_marked(model, selection)]))


def _active(desk: Desk, patches: Model, selection: Selection) -> pd.DataFrame:
    """The strongest features at the chosen patches, of which there is at least one."""
    cols, session = grid_of(desk, selection)[1], desk.photos.session(patches, selection.image)
    place = [divmod(patch, cols) for patch in read_patches(selection.patches)]
    return session.active_latents(selection.layer, _SHOWN, place)


def _marked(model: Model, selection: Selection) -> list[int]:
    """Those of patches that are shown in colours."""
    marks = read_kept(selection.marks, model.markable(selection.layer), MARKS)
    return [latent for kind, latent in marks if kind == "patch"]


def _patches(n: int) -> str:
    return "chosen patch" if n == 1 else f"{n} chosen patches"


def _row(patches: Model, session: Session, photo: str, row: pd.Series, marked: Sequence[int]) -> list[str]:
    layer, latent = str(row["layer"]), int(row["latent"])
    told = unsaid(row) or "Show it in a colour, beside others"
    return [
        button(said_name(row, latent), ("mark", f"patch:{latent}"), title=told, pressed=latent in marked)
        + (f"<br><small>{esc(trust(row))}</small>" if row["said"] else ""),
        number(row["strength"]),
        _dimmed(photo, session.activation_map(layer, latent)),
        others_html(patches, layer, latent),
    ]


def _dimmed(photo: str, found: RelevancyMap) -> str:
    return (
        f'<span class="hsae-still hsae-mini" style="--photo:url({photo})">'
        f'<i style="mask-image:url({mask_uri(found)})"></i></span>'
    )


def _elsewhere(layers: Sequence[str]) -> str:
    """Where features of patches are to be had."""
    faces = "".join(button(f"layer {short_layer(layer)}", ("layer", layer)) for layer in layers)
    return (
        '<p class="hsae-hint">Which features are active at a place is known at some layers only:</p>'
        f'<div class="hsae-walk">{faces}</div>'
    )
