"""The patch grid: the square of the photograph that the model sees, whose patches are chosen by mouse or keyboard."""

from __future__ import annotations

from typing import Any

import gradio as gr

from hsae.views.page.desk import Desk
from hsae.views.page.edit_text import read_patches
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import image_uri
from hsae.views.parts.view import asset

_SIDE = 320
_TEMPLATE = (
    '<div class="hsae-patches"><div><img alt=""><canvas tabindex="0" role="application" aria-label="Patches of the'
    " photo. Arrow keys move, space chooses or drops a patch, Escape drops all. With the mouse: click,"
    ' or paint over several; with Shift, drag a rectangle."></canvas></div><p class="hsae-hint" aria-live="polite">'
    "Click patches or paint over them; with Shift, drag a rectangle.</p></div>"
)


def patch_grid(elem_id: str) -> gr.HTML:
    """The component; its value is a `grid_payload`, choosing sets the field `patches`."""
    return gr.HTML(
        {}, html_template=_TEMPLATE, js_on_load=asset("parts/patches.js"), apply_default_css=False, elem_id=elem_id,
        visible="hidden",
    )  # fmt: skip


def grid_payload(desk: Desk, selection: Selection) -> dict[str, Any]:
    """{photo: data URI, rows, cols, chosen: [patch numbers, row by row]}."""
    rows, cols = grid_of(desk, selection)
    crop = desk.photos.crop(desk.model(selection), selection.image, _SIDE)
    chosen = [patch for patch in read_patches(selection.patches) if patch < rows * cols]
    return {"photo": image_uri(crop), "rows": rows, "cols": cols, "chosen": chosen}


def grid_of(desk: Desk, selection: Selection) -> tuple[int, int]:
    """Rows and columns of patches at the chosen layer."""
    backbone = desk.model(selection).session().backbone
    side = backbone.preprocessing.image_size
    return backbone.grid(selection.layer, side, side)
