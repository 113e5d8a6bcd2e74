"""The left column: the photograph, what the model sees in it, and the features active in it at the layer."""

from __future__ import annotations

from typing import Any

import gradio as gr
import pandas as pd

from hsae.hierarchy import wordnet
from hsae.report.shown_names import OLDER, status, status_of
from hsae.views.page.desk import (
    NO_PROBE,
    OLDER_RULE,
    Desk,
    has_name,
    said_name,
    significance,
    trust,
    unsaid,
)
from hsae.views.page.photos import starter_keys, thumbnail
from hsae.views.page.selection import FIRST_PHOTO, Selection
from hsae.views.page.squares import split_key, squares_html
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import bar, button, esc, notice, number, percent, picture_button, table
from hsae.views.parts.view import View, picker

STRIP = {
    "mammals": (
        FIRST_PHOTO, "photos/mammals/red_panda", "photos/mammals/koala", "photos/mammals/panda",
        "photos/mammals/gorilla", "photos/mammals/bison",
    ),
    "other animals": (
        "photos/birds/penguin", "photos/birds/scarlet_macaw", "photos/fish/fish_25", "photos/insects/butterfly",
        "photos/crabs/crab", "photos/reptiles/crocodile",
    ),
    "places": (
        "photos/monuments/india_gate", "photos/monuments/monument_3", "photos/monuments/qutub_minar",
        "photos/monuments/great_stupa", "photos/monuments/navajo", "photos/energy/dam_1",
    ),
    "things": (
        "photos/household/bucket", "photos/household/pan", "photos/household/chair", "photos/household/volleyball",
        "photos/tools/scissors_3", "photos/tools/screw_driver_1",
    ),
}  # fmt: skip
"""Photographs to start with, by theme: things that people know and the packaged model has classes for."""
_SHOWN = 10


def build(desk: Desk) -> tuple[list[View], gr.Image]:
    """Photo, thumbnails, classes and active features; the image is returned, because uploads start there."""
    image = gr.Image(
        label="Photo", type="filepath", image_mode=None, sources=["upload", "clipboard"], height=200, buttons=[],
        placeholder="Drop a photo, paste it, or click to choose one", alt_text="The chosen photograph",
        elem_id="photo",
    )  # fmt: skip
    squares, thumbnails = picker(elem_id="square"), picker(elem_id="thumbnails")
    names = [(name, key) for key, name in starter_keys().items()]
    more = gr.Dropdown(names, value=None, label=f"or one of all {len(names)} starter photos", elem_id="more-photos")
    sees = gr.HTML(apply_default_css=False, elem_id="sees")
    active = picker(elem_id="active")
    looks = ("model", "layer", "latent", "image")
    return [
        View("square", ("image",), [squares], lambda s: [_squares(desk, s)], pickers=[squares]),
        View("thumbnails", ("image",), [thumbnails, more], _thumbnails, pickers=[thumbnails],
             choosers=[(more.input, "image", more)]),
        View("sees", ("model", "image"), [sees], lambda s: [_sees(desk, s)]),
        View("active", looks, [active], lambda s: [_active(desk, s)], pickers=[active], quiet=True),
    ], image  # fmt: skip


def _thumbnails(selection: Selection) -> list[Any]:
    photo, _ = split_key(selection.image)
    themes = "".join(_theme(theme, keys, photo) for theme, keys in STRIP.items())
    return [f'<div class="hsae-themes">{themes}</div>', photo if photo in starter_keys() else None]


def _squares(desk: Desk, selection: Selection) -> str:
    photo, place = split_key(selection.image)
    known = photo in starter_keys() or photo in desk.photos
    return squares_html(desk.photos.image(photo).size, place) if known else ""


def _theme(theme: str, keys: tuple[str, ...], chosen: str) -> str:
    names = starter_keys()
    buttons = [picture_button(thumbnail(key), names[key], ("image", key), pressed=key == chosen) for key in keys]
    return f'<div class="hsae-thumbs" role="group" aria-label="Starter photos: {theme}">{"".join(buttons)}</div>'


def _sees(desk: Desk, selection: Selection) -> str:
    model = desk.model(selection)
    if not model.has_classes:
        return "<h2>The model sees</h2>" + notice(NO_PROBE)
    classes = desk.session(selection).classes(top=4)
    path = " › ".join(map(wordnet().name, model.taxonomy.branches_above(classes["wnid"].iloc[0])))
    return classes_html(classes, path, len(model.artifact.classes))


def classes_html(classes: pd.DataFrame, path: str, n_classes: int) -> str:
    """The most likely classes (wnid, name, probability) as bars, and where the first one stands in WordNet."""
    rows = [
        [f'<span title="{esc(wnid)}: {esc(wordnet().gloss(wnid))}">{esc(name)}</span>', bar(share) + percent(share)]
        for wnid, name, share in classes[["wnid", "name", "probability"]].itertuples(index=False)
    ]
    where = f'<p class="hsae-path">{esc(path)} › <b>{esc(classes["name"].iloc[0])}</b></p>'
    limits = f'<p class="hsae-hint">It looks at the bright square only, and knows {n_classes} classes, no others.</p>'
    return f"<h2>The model sees</h2>{where}{table('Most likely classes', ['class', 'probability'], rows)}{limits}"


def _active(desk: Desk, selection: Selection) -> str:
    return active_html(desk.active(selection), selection.layer, desk.focus(selection))


def active_html(active: pd.DataFrame, layer: str, focus: int | None) -> str:
    """The features active in the photo, as `Desk.active` has them: name, strength, evidence; a click selects."""
    shown, measured = active.head(_SHOWN), (status(active) != OLDER).any()
    rows = [
        [
            button(f"{said_name(row, int(row['latent']))} {significance(row)}", ("latent", int(row["latent"])),
                   pressed=int(row["latent"]) == focus, title=unsaid(row) or "Select this feature"),
            bar(row["strength"]) + number(row["strength"]),
            _evidence(row),
        ]
        for _, row in shown.iterrows()
    ]  # fmt: skip
    current = next((n for n, latent in enumerate(shown["latent"]) if latent == focus), None)
    firing = int(active["activation"].gt(0).sum())
    heads = ["feature", "strength", "its name is" if measured else "coverage"]
    return (
        f"<h2>Features active at layer {esc(short_layer(layer))}</h2>"
        + table("Active features", heads, rows, current=current, css="hsae-features")
        + f'<p class="hsae-hint">{firing} features fire here{_order(active)}</p>'
    )


def _evidence(row: pd.Series) -> str:
    """How far to trust the name that is shown."""
    if status_of(row) != OLDER:
        return trust(row) if row["said"] else "–"
    return percent(row["coverage"]) if row["n_classes"] > 1 else "one class" if row["n_classes"] == 1 else "–"


def _order(active: pd.DataFrame) -> str:
    """The order of the list and its marks, in words."""
    strength = "Strength 1 = about as strong as it ever gets."
    if (status(active) != OLDER).any():
        n = int(active["said"].sum())
        told = f"; {n or 'no'} {'names are' if n > 1 else 'name is'} said of this photo"
        told += ", first what the layer's probe finds likeliest" if n > 1 else ""
        silent = " Strength 0 = it speaks for its name, but lost to stronger features."
        return (
            f"{told}. {strength}{silent if (active['activation'] == 0).any() else ''}"
            " True in = of other photos that it is said of, the share that show such a thing."
        )
    order = "; those with a name first" if has_name(active).any() else ""
    return f"{order}. {strength} ★ = beats chance, ? = a doubtful name. {OLDER_RULE}"
