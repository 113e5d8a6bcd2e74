"""What the maps of a photograph explain: the concept, the photograph's own class, and the chosen feature."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from hsae.faithfulness.curves import Curve
from hsae.hierarchy import wordnet
from hsae.relevancy import RelevancyMap, default_method
from hsae.session import Session
from hsae.views.page.desk import Desk, said_name, unsaid
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import esc, number, percent
from hsae.views.tabs.concept.concept import concept_of


@dataclass(frozen=True)
class Explained:
    """A concept or a feature that a layer finds in a photograph."""

    name: str
    kind: str
    """concept, class or feature."""
    told: str
    """What its map shows, as HTML."""
    map: Callable[[], RelevancyMap]
    curve: Callable[[], Curve]
    latent: int | None = None

    @property
    def title(self) -> str:
        """What it is and its name, without saying "feature" twice."""
        return self.name if self.name.startswith(f"{self.kind} ") else f"{self.kind}: {self.name}"


def explained(desk: Desk, selection: Selection) -> list[Explained]:
    """The concept, the most likely class where that is another node, and the feature where it is active."""
    return [*_nodes(desk, selection), *_feature(desk, selection)]


def method_of(desk: Desk, selection: Selection) -> str:
    """The chosen method, else the one that measures as the truest for such a model."""
    model = desk.model(selection)
    return selection.method or default_method(model.session().backbone, selection.layer, model.artifact.token)


def _nodes(desk: Desk, selection: Selection) -> list[Explained]:
    if not desk.model(selection).has_classes:
        return []
    session, concept = desk.session(selection), concept_of(desk, selection)
    first = session.classes(top=1)["wnid"].iloc[0]
    kinds = {first: "class", concept: "concept"}  # of one node, the concept
    return [_node(session, selection, node, kinds[node]) for node in dict.fromkeys((concept, first))]


def _node(session: Session, selection: Selection, node: str, kind: str) -> Explained:
    layer, method, name = selection.layer, selection.method or None, wordnet().name(node)
    chance = session.node_probabilities([node])[node][layer]
    which = "" if kind == "concept" else ", the likeliest class"
    at = f"to which layer {esc(short_layer(layer))} gives {percent(chance)}"
    told = f"Bright: what speaks for <b>{esc(name)}</b>{which}, {at}."
    return Explained(
        name, kind, told,
        lambda: session.concept_relevancy(layer, node, method),
        lambda: session.concept_faithfulness(layer, node, method),
    )  # fmt: skip


def _feature(desk: Desk, selection: Selection) -> list[Explained]:
    latent, active = desk.focus(selection), desk.active(selection).set_index("latent")
    if latent is None or latent not in active.index:
        return []
    session, layer, method = desk.session(selection), selection.layer, method_of(desk, selection)
    row, at = active.loc[latent], f"at layer {esc(short_layer(layer))}"
    name, but = said_name(row, latent), unsaid(row)
    told = (
        f"Bright: what makes <b>{esc(name)}</b> fire {at}, with strength {number(row['strength'])}."
        if row["activation"] > 0
        else f"Bright: what speaks for <b>{esc(name)}</b>, which loses to stronger ones {at}."
    ) + (f" It is {esc(but)}." if but else "")
    return [
        Explained(
            name, "feature", told,
            lambda: session.relevancy(layer, latent, method),
            lambda: session.faithfulness(layer, latent, method),
            latent,
        )
    ]  # fmt: skip
