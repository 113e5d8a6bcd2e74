"""Presets: turns that held on most photographs they were measured on, each with a photograph, a layer and its rate."""

from __future__ import annotations

from dataclasses import dataclass

from hsae.hierarchy import wordnet
from hsae.views.page.desk import Desk
from hsae.views.page.models import Model
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import button, esc

_RELIABLE = 0.8
_MOST = 6


@dataclass(frozen=True)
class Preset:
    """Turn a photograph of one concept into another."""

    photo: str
    more: str
    less: str
    """WordNet ids."""
    layer: str
    amount: float = 2.0
    rate: str = ""
    """On how many other photographs it held, in words; empty where that was not measured."""

    @property
    def title(self) -> str:
        less = wordnet().name(self.less)
        if not self.more:
            return f"Take the {less} out"
        more = wordnet().name(self.more)
        return f"Make the {less} {'an' if more[0] in 'aeiou' else 'a'} {more}"

    @property
    def dial(self) -> tuple[str, str, float]:
        """Concept, what it is taken from, and where the dial stands: to the left where something is only taken."""
        return (self.more, self.less, self.amount) if self.more else (self.less, "", -self.amount)

    @property
    def value(self) -> str:
        """What its button chooses (`Choices`)."""
        concept, less, amount = self.dial
        return "|".join((self.photo, self.layer, concept, less, f"{amount:g}"))


UNMEASURED = (
    ("photos/farm/dog", "n02121620", "n02084071"),  # dog -> cat
    ("photos/birds/penguin", "n02084071", "n01503061"),  # bird -> dog
    ("photos/insects/butterfly", "n01503061", "n02159955"),  # insect -> bird
    ("photos/household/chair", "n02084071", "n03405725"),  # furniture -> dog
)
"""Photograph, more, less: for artifacts of which nobody measured what can be turned."""


def presets_of(model: Model) -> list[Preset]:
    """Those that held on four of five photographs or more, the surest first; else some that nobody measured."""
    measured = sorted(model.turns.values(), key=lambda found: -found.rate)
    known = [
        Preset(f.photo, f.turn.more, f.turn.less, f.layer, f.amount, f"held on {f.held} of {f.n} other photos")
        for f in measured
        if f.photo and f.turn.less and f.rate >= _RELIABLE
    ]
    if model.turns:
        return known[:_MOST]
    nodes, last = set(model.taxonomy.nodes), model.artifact.layers[-1]
    return [Preset(*row, layer=last) for row in UNMEASURED if set(row[1:]) <= nodes]


def preset_html(desk: Desk, selection: Selection) -> str:
    """A button for every preset, with its rate."""
    model = desk.model(selection)
    presets = presets_of(model) if model.has_classes else []
    if not presets:
        return ""
    faces = "".join(
        button(
            preset.title,
            ("preset", preset.value),
            title=f"At layer {short_layer(preset.layer)}; {preset.rate or 'how often it holds was not measured'}",
            pressed=is_on(preset, selection),
        )
        + (f"<small>{esc(preset.rate)}</small>" if preset.rate else "")
        for preset in presets
    )
    return f'<div class="hsae-presets"><b>Try:</b> {faces}</div>'


def is_on(preset: Preset, selection: Selection) -> bool:
    """Whether the visitor is looking at it."""
    here = (selection.image, selection.layer, selection.concept, selection.less)
    return bool(selection.edit) and here == (preset.photo, preset.layer, *preset.dial[:2])
