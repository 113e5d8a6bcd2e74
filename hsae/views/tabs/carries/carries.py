"""Tab Carries: which features of a layer carry the concept in the photograph, as bars that add up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hsae.hierarchy import wordnet
from hsae.session import Carried
from hsae.views.page.desk import NO_PROBE, Desk, said_name, trust, unsaid
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import short_layer
from hsae.views.parts.few import few_html
from hsae.views.parts.markup import button, esc, notice, number, signed_bar, table
from hsae.views.parts.view import View, picker
from hsae.views.tabs.concept.concept import concept_of
from hsae.views.tabs.feature.words import words

_SHOWN, _PHOTOS = 10, 4
_EXACT = "These parts add up exactly: the concept is read at this very layer."
_FIRST_ORDER = (
    "The concept is read at the last layer. Before it the parts are estimates (of first order), “not explained” is what"
    " they leave out, and with all features off other tokens of the picture may still speak for the concept."
)


def build(desk: Desk) -> list[View]:
    """One table."""
    panel = picker(elem_id="carries")
    reads = ("model", "layer", "image", "concept")
    return [View("carries", reads, [panel], lambda s: [_carries(desk, s)], tab="carries", pickers=[panel])]


def _carries(desk: Desk, selection: Selection) -> str:
    model = desk.model(selection)
    if not model.has_classes:
        return notice(NO_PROBE)
    concept = concept_of(desk, selection)
    carried = desk.session(selection).contributions(selection.layer, concept)
    top = model.artifact.top_images(selection.layer)
    shown = carried.latents["latent"].head(_SHOWN)
    known = {
        int(latent): Known(
            words(model, selection.layer, int(latent)), few_html((key for key, _ in top[latent]["starter"]), _PHOTOS)
        )
        for latent in shown
    }
    where = Where(wordnet().name(concept), selection.layer, model.artifact.layers[-1])
    return carries_html(carried, where, known)


@dataclass(frozen=True)
class Where:
    """What is carried, in words, at which layer, and which layer is the last."""

    concept: str
    layer: str
    last: str

    @property
    def exact(self) -> bool:
        """Whether the concept is read at this very layer."""
        return self.layer == self.last


@dataclass(frozen=True)
class Known:
    """What else is known of a feature."""

    words: str = ""
    """What it pushes towards and fires on (`words`)."""
    photos: str = ""
    """HTML of the photographs that move it most."""


def carries_html(carried: Carried, where: Where, known: Mapping[int, Known]) -> str:
    """The largest contributions by feature, then all others together, the error, the base and their sum, in nats.

    known: by latent.
    """
    shown, parts = carried.latents.head(_SHOWN), carried.parts
    others = carried.latents["contribution"].iloc[_SHOWN:]
    together = [
        (f"the other {len(others)} active features", float(others.sum())),
        ("what the features leave out of this layer (error)", parts.error),
        ("with all of them off (base)", parts.base),
        *([] if where.exact else [("not explained", parts.rest)]),
    ]
    values = [*shown["contribution"], *(value for _, value in together)]
    full = max(map(abs, values), default=0.0) or 1.0
    rows = [
        [
            button(said_name(row, int(row["latent"])), ("latent", int(row["latent"])), title=unsaid(row))
            + _small(known.get(int(row["latent"]), Known()).words),
            _amount(float(row["contribution"]), full),
            trust(row) if row["said"] else "",
            known.get(int(row["latent"]), Known()).photos,
        ]
        for _, row in shown.iterrows()
    ]
    rows += [[esc(name), _amount(value, full), "", ""] for name, value in together]
    rows.append([f"<b>log-odds of {esc(where.concept)} at the last layer</b>", f"<b>{_said(parts.total)}</b>", "", ""])
    heads = ["feature", f"speaks against · for “{where.concept}”", "its name is", "photos that move it most"]
    hint = _EXACT if where.exact else _FIRST_ORDER
    return (
        f"<h3>What carries “{esc(where.concept)}” at layer {esc(short_layer(where.layer))}</h3>"
        f"{table('Contributions', heads, rows)}"
        f'<p class="hsae-hint">{hint} Log-odds: 0 is even, +2.2 is 90 %, −2.2 is 10 %. A feature without a name is'
        " one whose name did not prove true on other photographs: its page shows what it fires for. “Pushes towards”:"
        " how this layer's own probe reads its direction; nothing is said where a random direction does as well.</p>"
    )


def _small(words: str) -> str:
    return f'<small class="hsae-words">{esc(words)}</small>' if words else ""


def _amount(value: float, full: float) -> str:
    return f"{signed_bar(value / full)} {_said(value)}"


def _said(value: float) -> str:
    return f"{'−' if value < 0 else '+'}{number(abs(value))}"
