"""Tab Steer: turn features up or down inside the model and see which classes gain or lose."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from hsae.errors import InputError
from hsae.steering.edits import Edit
from hsae.views.page.desk import Desk, numbered_name, said_number
from hsae.views.page.edit_text import REACH, SLIDERS, write_edit
from hsae.views.page.selection import Selection
from hsae.views.page.squares import split_key
from hsae.views.parts.few import few_html
from hsae.views.parts.markup import esc
from hsae.views.parts.patches import grid_payload, patch_grid
from hsae.views.parts.view import Controls, View, picker
from hsae.views.tabs.steer.dial import dial_values, dialled
from hsae.views.tabs.steer.panes import PANES, amounts_of, edit_of, pane_html, scope_of, steered
from hsae.views.tabs.steer.presets import preset_html

_INTRO = (
    '<p class="hsae-intro">The dial pushes the features that carry the concept <em>inside the model</em>, in units of'
    " their own strong activation. 0 = unchanged. <b>The photo itself is never altered</b>: only what the model makes"
    " of it.</p>"
)
_SCOPES = [
    ("its summary of the photo", "cls"),
    ("every patch", "patches"),
    ("both", "all"),
    ("chosen patches", "chosen"),
]
_WHERE = ("model", "layer", "latent", "image")
_WHAT = ("edit", "scope", "patches")
_CONCEPTS = ("concept", "less")


@dataclass(frozen=True)
class _Parts:
    """The components, in the order of the page."""

    more: gr.Dropdown
    less: gr.Dropdown
    dial: gr.Slider
    note: gr.HTML
    presets: gr.HTML
    said: gr.HTML
    photos: list[gr.HTML]
    """Beside each slider the photographs that move its feature most."""
    sliders: list[gr.Slider]
    steps: list[gr.Button]
    """Undo, redo and reset."""
    add: gr.Textbox
    scope: gr.Radio
    grid: gr.HTML
    shows: gr.Radio
    panel: gr.HTML
    export: gr.HTML


def build(desk: Desk) -> list[View]:
    """Dial, presets, sliders, scope and what came of it."""
    parts = _laid_out()
    return [*_dial_views(desk, parts), *_slider_views(desk, parts), *_result_views(desk, parts)]


def _laid_out() -> _Parts:
    gr.HTML(_INTRO, apply_default_css=False)
    with gr.Row(elem_id="turn"):
        more = gr.Dropdown([], value=None, label="Make it more", elem_id="turn-more", min_width=160)
        less = gr.Dropdown([], value=None, label="and less", elem_id="turn-less", min_width=160)
        dial = gr.Slider(-REACH, REACH, 0, step=0.1, label="dial", buttons=[], elem_id="dial", scale=2, min_width=240)
    note, presets = picker(elem_id="dial-note"), picker(elem_id="presets")
    with gr.Row(elem_id="turned"):
        with gr.Column(min_width=240):
            said = gr.HTML(apply_default_css=False)
            with gr.Column(elem_id="faders"):
                photos, sliders = zip(*(_slider(at) for at in range(SLIDERS)), strict=True)
            add = gr.Textbox(
                label="Add a feature", placeholder="a number, or a word: dog", elem_id="steer-add", max_length=80
            )
            with gr.Row():
                steps = [
                    gr.Button(word, elem_id=f"steer-{word.lower()}", size="sm", min_width=60)
                    for word in ("Undo", "Redo", "Reset")
                ]
            scope = gr.Radio(_SCOPES, label="Push at", elem_id="steer-scope")
            grid = patch_grid("steer-patches")
        with gr.Column(min_width=300, scale=2, elem_id="turned-into"):
            shows = gr.Radio([(words, name) for name, (words, _) in PANES.items()], label="Show", elem_id="steer-shows")
            panel = picker(elem_id="steer-result")
    with gr.Accordion("Take this edit with you: JSON and Python", open=False):
        export = gr.HTML(apply_default_css=False, elem_id="steer-export")
    return _Parts(
        more, less, dial, note, presets, said, list(photos), list(sliders), steps, add, scope, grid,
        shows, panel, export,
    )  # fmt: skip


def _slider(at: int) -> tuple[gr.HTML, gr.Slider]:
    """One of the sliders, which shows when it has a feature, with photographs beside it."""
    with gr.Row(elem_classes="hsae-fader"):
        photos = picker(elem_id=f"steer-photos-{at}", scale=0, min_width=64)
        slider = gr.Slider(
            -REACH, REACH, 0, step=0.1, label="feature", buttons=[], elem_id=f"steer-{at}", visible=False, min_width=160
        )
    return photos, slider


def _dial_views(desk: Desk, parts: _Parts) -> list[View]:
    return [
        View("dial", (*_WHERE, *_CONCEPTS, "edit"), [parts.note, parts.dial, parts.more, parts.less],
             lambda s: dial_values(desk, s), tab="steer", pickers=[parts.note], quiet=True,
             controls=Controls([parts.dial], partial(dialled, desk)),
             choosers=[(parts.more.input, "concept", parts.more), (parts.less.input, "less", parts.less)]),
        View("presets", ("model", "layer", "image", *_CONCEPTS, "edit"), [parts.presets],
             lambda s: [preset_html(desk, s)], tab="steer", pickers=[parts.presets], quiet=True),
    ]  # fmt: skip


def _slider_views(desk: Desk, parts: _Parts) -> list[View]:
    return [
        View("sliders", (*_WHERE, "edit"), [parts.said, *parts.sliders], lambda s: _sliders(desk, s), tab="steer",
             quiet=True, controls=Controls(parts.sliders, partial(moved, desk), parts.steps),
             choosers=[(parts.add.submit, "add", parts.add)]),
        View("slider photos", (*_WHERE, "edit"), parts.photos, lambda s: _photos(desk, s), tab="steer", quiet=True,
             pickers=parts.photos),
        View("scope", ("model", "layer", "image", "scope", "patches"), [parts.grid, parts.scope],
             lambda s: _scope(desk, s), tab="steer", pickers=[parts.grid], quiet=True,
             choosers=[(parts.scope.input, "scope", parts.scope)]),
    ]  # fmt: skip


def _result_views(desk: Desk, parts: _Parts) -> list[View]:
    return [
        View("steer", (*_WHERE, *_WHAT, *_CONCEPTS, "shows"), [parts.panel, parts.shows],
             lambda s: [pane_html(desk, s), s.shows or "classes"], tab="steer", later="effects of edits",
             pickers=[parts.panel], choosers=[(parts.shows.input, "shows", parts.shows)]),
        View("export", (*_WHERE, *_WHAT), [parts.export], lambda s: [_export(desk, s)], tab="steer", quiet=True),
    ]  # fmt: skip


def moved(desk: Desk, selection: Selection, amounts: Sequence[Any]) -> str:
    """The text of the edit that sliders in these positions make."""
    if any(not isinstance(a, int | float) or not abs(a) <= REACH for a in amounts):
        raise InputError(f"amounts {amounts!s:.80}", f"numbers from -{REACH:g} to {REACH:g}")
    return write_edit({latent: round(a, 2) for latent, a in zip(steered(desk, selection), amounts, strict=False)})


def _sliders(desk: Desk, selection: Selection) -> list[Any]:
    table, amounts = desk.model(selection).latents(selection.layer), amounts_of(desk, selection)
    active = desk.active(selection).set_index("latent")
    shown = []
    for at in steered(desk, selection):
        name = said_number(active.loc[at], at) if at in active.index else numbered_name(table.iloc[at], at)
        shown.append(gr.Slider(label=name, value=amounts.get(at, 0), visible=True))
    return ["", *shown, *[gr.Slider(value=0, visible=False)] * (SLIDERS - len(shown))]


def _photos(desk: Desk, selection: Selection) -> list[str]:
    """Beside each slider; what is changed is marked, and the page's style shows it before the others."""
    top, amounts = desk.model(selection).artifact.top_images(selection.layer), amounts_of(desk, selection)
    faces = [
        few_html((key for key, _ in top[at]["starter"]), 1) + "<i data-changed></i>" * (at in amounts)
        for at in steered(desk, selection)
    ]
    return faces + [""] * (SLIDERS - len(faces))


def _scope(desk: Desk, selection: Selection) -> list[Any]:
    here = scope_of(desk, selection) if selection.scope != "chosen" else "chosen"
    shown = selection.scope == "chosen"
    return [gr.HTML(grid_payload(desk, selection) if shown else {}, visible=shown), here]


def _export(desk: Desk, selection: Selection) -> str:
    edit = desk.session(selection).signed(edit_of(desk, selection))
    photo, _ = split_key(selection.image)
    image = photo if not photo.startswith("upload-") else "your-photo.jpg"
    return export_html(edit, image)


def export_html(edit: Edit, image: str) -> str:
    """The edit as a file to keep and as lines to run."""
    data = base64.b64encode(edit.to_json().encode()).decode()
    link = (
        f'<a class="hsae-link" download="edit.json" href="data:application/json;base64,{data}">Download edit.json</a>'
    )
    return (
        f"<p>{link}</p><h3>edit.json</h3><pre>{esc(edit.to_json())}</pre>"
        f"<h3>The same in Python</h3><pre>{esc(edit.to_python(image))}print(result.probability_changes)</pre>"
    )
