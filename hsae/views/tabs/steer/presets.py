"""Presets: a hypothesis about a photograph, the edit that tests it, and what happened, computed on the spot."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, wordnet
from hsae.report.shown_names import name_nodes
from hsae.steering.classification import SteeringResult
from hsae.views.page.desk import Desk, surest_first
from hsae.views.page.edit_text import write_edit
from hsae.views.page.selection import Selection
from hsae.views.parts.markup import button, esc, percent

_FEATURES = 3  # a side
_UP, _DOWN = 2.0, -3.0
_CLEAR = 0.05  # a change of 5 points, and twice the control's


@dataclass(frozen=True)
class Preset:
    """Turn the features of one concept down and those of another up, in a photograph of the first."""

    photo: str
    down: str
    up: str
    """WordNet ids."""

    @property
    def title(self) -> str:
        return f"Make the {wordnet().name(self.down)} a {wordnet().name(self.up)}"

    @property
    def hypothesis(self) -> str:
        down, up = (wordnet().name(node) for node in (self.down, self.up))
        return (
            f"Features that own “{down}” carry it and those that own “{up}” bring it:"
            f" turning them takes probability from the one to the other."
        )


PRESETS = (
    Preset("animals/dog", "n02084071", "n02120997"),  # dog -> feline
    Preset("animals/tiger", "n02120997", "n02084071"),  # feline -> dog
    Preset("vehicles/garbagetruck", "n04524313", "n00015388"),  # vehicle -> animal
    Preset("food/lemon", "n07705931", "n04524313"),  # edible fruit -> vehicle
)


def preset_edit(preset: Preset, latents: pd.DataFrame, taxonomy: Taxonomy) -> str:
    """The edit: per side the surest features that are named after the node or one below it."""
    amounts = dict.fromkeys(_owners(preset.down, latents, taxonomy), _DOWN)
    amounts |= dict.fromkeys(_owners(preset.up, latents, taxonomy), _UP)
    return write_edit(amounts)


def _owners(node: str, latents: pd.DataFrame, taxonomy: Taxonomy) -> list[int]:
    if node not in taxonomy.nodes:
        return []
    under = {n for n, row in zip(taxonomy.nodes, taxonomy.ancestry[taxonomy.position(node)], strict=True) if row}
    owned = latents[name_nodes(latents, older="lch").isin(under | {node}) & ~latents["dead"]]
    ranked = surest_first(owned, then=("n_classes", "best_node_f1"))
    return ranked.index[:_FEATURES].astype(int).tolist()


def preset_html(desk: Desk, selection: Selection) -> str:
    """Buttons for the presets that this layer has features for; under the one that is on, its hypothesis and result."""
    model = desk.model(selection)
    if not model.has_classes:
        return ""
    table, taxonomy = model.latents(selection.layer), model.taxonomy
    edits = {preset: preset_edit(preset, table, taxonomy) for preset in PRESETS}
    on = running(desk, selection)
    faces = "".join(
        button(preset.title, ("preset", f"{preset.photo}|{edit}"), title=preset.hypothesis, pressed=preset == on)
        for preset, edit in edits.items()
        if edit
    )
    said = f"<p><b>Hypothesis:</b> {esc(on.hypothesis)}</p>" if on else ""
    return f'<div class="hsae-presets"><b>Try:</b> {faces}{said}</div>' if faces else ""


def running(desk: Desk, selection: Selection) -> Preset | None:
    """The preset whose photograph and edit are chosen."""
    model = desk.model(selection)
    table = model.latents(selection.layer)
    for preset in PRESETS if model.has_classes else ():
        here = selection.edit and preset.photo == selection.image
        if here and preset_edit(preset, table, model.taxonomy) == selection.edit:
            return preset
    return None


def verdict_html(preset: Preset, result: SteeringResult, taxonomy: Taxonomy) -> str:
    """What happened to both concepts, what a random push did, and whether that speaks for the hypothesis.

    It does when both move the expected way by 5 points or more, and twice as far as by the random push.
    """
    if result.probabilities_control is None:
        raise InputError("a result without a control", "one of `steer(edit, control_seed=...)`")
    stages = (result.probabilities_before, result.probabilities_after, result.probabilities_control)
    down, up = ([_mass(node, p, taxonomy) for p in stages] for node in (preset.down, preset.up))
    holds = all(
        sign * (after - before) >= max(_CLEAR, 2 * sign * (control - before))
        for sign, (before, after, control) in ((-1, down), (1, up))
    )
    told = "; ".join(
        f"“{esc(wordnet().name(node))}” {percent(before)} → {percent(after)} (random push: {percent(control)})"
        for node, (before, after, control) in ((preset.down, down), (preset.up, up))
    )
    verdict = "It holds on this photo." if holds else "It does not hold on this photo."
    return f'<p class="hsae-notice"><b>What happened:</b> {told}. <b>{verdict}</b></p>'


def _mass(node: str, probabilities: np.ndarray, taxonomy: Taxonomy) -> float:
    return float(probabilities[taxonomy.members[taxonomy.position(node)]].sum())
