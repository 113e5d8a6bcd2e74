"""The visitor's edit of a selection, and the panes that show what it does."""

from __future__ import annotations

from collections.abc import Callable

from hsae.errors import InputError
from hsae.steering.edits import Edit, Scope
from hsae.views.page.desk import NO_PROBE, Desk, feature_name
from hsae.views.page.edit_text import SLIDERS, as_edit, read_edit, read_patches
from hsae.views.page.selection import Selection
from hsae.views.parts.markup import notice
from hsae.views.tabs.concept.concept import concept_of
from hsae.views.tabs.steer.result import control_html, downstream_html, hint_html, nearest_html, result_html
from hsae.views.tabs.steer.segmentation import segmentation_html
from hsae.views.tabs.steer.verdict import verdict_html

_SEED = 0
_TOP = 6
_OTHERS = "“similar photos” and “later features” show what the edit does."


def steered(desk: Desk, selection: Selection) -> list[int]:
    """The latents under the sliders: the chosen feature, then the photograph's strongest; edited ones are always there.

    The order does not depend on the amounts, so a slider stays where it is while it is moved.
    """
    amounts = amounts_of(desk, selection)
    chosen = [] if selection.latent is None else [selection.latent]
    usual = list(dict.fromkeys([*chosen, *desk.active(selection)["latent"].astype(int).tolist()]))[:SLIDERS]
    missing = [latent for latent in amounts if latent not in usual]
    free = [latent for latent in usual if latent not in amounts]
    dropped = set(free[len(free) - max(0, len(usual) + len(missing) - SLIDERS) :])
    return [latent for latent in usual if latent not in dropped] + missing


def amounts_of(desk: Desk, selection: Selection) -> dict[int, float]:
    """How far each feature is pushed."""
    return read_edit(selection.edit, len(desk.model(selection).latents(selection.layer)))


def scope_of(desk: Desk, selection: Selection) -> Scope:
    """The tokens that are pushed: what the artifact's SAEs read, unless the visitor chose others."""
    if selection.scope == "chosen":
        return read_patches(selection.patches)
    return selection.scope or ("cls" if desk.model(selection).artifact.token == "cls" else "patches")


def edit_of(desk: Desk, selection: Selection) -> Edit:
    """The visitor's edit; InputError when patches are to be pushed and none is chosen."""
    if selection.scope == "chosen" and not selection.patches:
        raise InputError("no patch is chosen", do="Choose some in the picture on the left, or push elsewhere.")
    return as_edit(selection.layer, amounts_of(desk, selection), scope_of(desk, selection))


def pane_html(desk: Desk, selection: Selection) -> str:
    """The chosen pane."""
    return PANES[selection.shows or "classes"][1](desk, selection, edit_of(desk, selection))


def _classes(desk: Desk, selection: Selection, edit: Edit) -> str:
    if not desk.model(selection).has_classes:
        return notice(f"{NO_PROBE} {_OTHERS}")
    session, moved = desk.session(selection), bool(edit.ops)
    result = session.steer(edit, control_seed=_SEED)
    nodes = filter(None, (concept_of(desk, selection), selection.less))
    told = verdict_html({node: session.moved(node, result) for node in nodes}) if moved else ""
    return told + result_html(result, desk.model(selection).taxonomy, selection.layer, moved=moved)


def _control(desk: Desk, selection: Selection, edit: Edit) -> str:
    if not desk.model(selection).has_classes:
        return notice(f"{NO_PROBE} {_OTHERS}")
    if not edit.ops:
        return notice("Move a slider first: the control repeats your push with something random.")
    result = desk.session(selection).steer(edit, control_seed=_SEED)
    return hint_html(result, selection.layer, moved=True) + control_html(result)


def _nearest(desk: Desk, selection: Selection, edit: Edit) -> str:
    return nearest_html(desk.session(selection).nearest(edit if edit.ops else None, top=_TOP))


def _downstream(desk: Desk, selection: Selection, edit: Edit) -> str:
    if not edit.ops:
        return notice("Move a slider first: then the features that follow it show here.")
    effects = desk.session(selection).downstream(edit)
    tables = desk.model(selection).latents
    pairs = zip(effects["layer"], effects["latent"], strict=True)
    return downstream_html(effects, [feature_name(tables(layer).iloc[at], at) for layer, at in pairs])


def _segmented(desk: Desk, selection: Selection, edit: Edit) -> str:
    session = desk.session(selection)
    if session.artifact.document("segmentation") is None:
        return notice("This artifact has no patch head. Make one: python -m hsae segmentation ARTIFACT")
    maps = session.segment(edit, control_seed=_SEED if edit.ops else None)
    return segmentation_html(desk.photos.crop(desk.model(selection), selection.image), maps, moved=bool(edit.ops))


PANES: dict[str, tuple[str, Callable[[Desk, Selection, Edit], str]]] = {
    "classes": ("classes", _classes),
    "control": ("control", _control),
    "nearest": ("similar photos", _nearest),
    "downstream": ("later features", _downstream),
    "segmentation": ("segmentation", _segmented),
}
"""By the name in `SHOWS`: words for the visitor, and what makes the HTML."""
