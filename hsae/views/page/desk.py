"""Where the views find what a selection stands for: its model, its photograph, its features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsae.errors import HsaeError
from hsae.report.shown_names import KEPT, OLDER, UNLIKELY, name_of, names, said_first, status, status_of, telling
from hsae.session import Session
from hsae.views.page.by_text import TextSearch
from hsae.views.page.models import Model, Models
from hsae.views.page.photos import Photos
from hsae.views.page.selection import Selection
from hsae.views.parts.markup import percent

NO_PROBE = "This model was made from images without labels: it has no probe that could say which classes it sees."
OLDER_RULE = "Its names come from an older rule, by which nobody measured how often they are true."
"""Said of a model's features beside their evidence."""


@dataclass(frozen=True)
class Desk:
    """Answers for one selection; anything that needs the backbone raises HsaeError when it is not there."""

    models: Models
    photos: Photos
    texts: TextSearch | None = None
    """Where a model of images and text is at hand."""

    def model(self, selection: Selection) -> Model:
        """The chosen artifact."""
        return self.models[selection.model]

    def session(self, selection: Selection) -> Session:
        """The chosen model on the chosen photograph."""
        return self.photos.session(self.model(selection), selection.image)

    def active(self, selection: Selection) -> pd.DataFrame:
        """Features active in the photo at the layer: first those whose name is said of it, the likeliest first.

        The others by strength; names by the older rule before none, and doubtful ones between the two. Every view of a
        photograph reads the same table, so leave it unchanged.
        """
        session, layer = self.session(selection), selection.layer
        return session.once(("listed", layer), lambda: _listed(session.active_latents(layer, top=10**6)))

    def focus(self, selection: Selection) -> int | None:
        """The chosen feature; else the photograph's first, else the layer's best named or covered; None if all dead."""
        if selection.latent is not None:
            return selection.latent
        try:
            active = self.active(selection)
        except HsaeError:  # without a backbone or a photograph the table still has a good one to start with
            active = pd.DataFrame()
        if len(active):  # a name that is said of a silent feature has no heat map
            return int(active["latent"].iloc[active["activation"].gt(0).argmax()])
        table = self.model(selection).latents(selection.layer)
        alive = table[~table["dead"]].assign(telling=telling(table))
        alive = alive.sort_values(["telling", "n_classes", "frequency"], ascending=False, kind="stable")
        return int(alive.index[0]) if len(alive) else None


def _listed(active: pd.DataFrame) -> pd.DataFrame:
    """Features active in a photograph in the order of `Desk.active`."""
    doubtful = np.array([significance(row) == "?" for _, row in active.iterrows()], dtype=bool)
    older = has_name(active) & (status(active) == OLDER).to_numpy()
    order = np.lexsort((-active["strength"].fillna(0), doubtful, ~older))
    return said_first(active.iloc[order])


def has_name(table: pd.DataFrame) -> np.ndarray:
    """Whether each latent of a table may be called by a name, bool [n]."""
    return names(table).notna().to_numpy()


def feature_name(row: pd.Series, latent: int) -> str:
    """What to call a feature: its name (`report.shown_names`), or its number where it has none."""
    name = name_of(row)
    if name is not None:
        return name
    if status_of(row) != OLDER:
        return f"feature {latent} (unnamed)"
    return f"feature {latent}" if row["n_classes"] == -1 else f"no clear class ({latent})"


def numbered_name(row: pd.Series, latent: int) -> str:
    """The same, with the feature's number in any case."""
    return feature_name(row, latent) if name_of(row) is None else f"{name_of(row)} · {latent}"


def said_name(row: pd.Series, latent: int) -> str:
    """What to call a feature in a list of those of a photograph: by its name only where that is said of the photo."""
    return f"feature {latent}" if status_of(row) == KEPT and not row["said"] else feature_name(row, latent)


def said_number(row: pd.Series, latent: int) -> str:
    """The same, with the feature's number in any case: of several with one name each is another."""
    said = said_name(row, latent)
    return said if str(latent) in said else f"{said} · {latent}"


def unsaid(row: pd.Series) -> str:
    """Why a feature of a photograph that has a name is not called by it; empty where it is, or has none."""
    if status_of(row) != KEPT or row["said"]:
        return ""
    if row.get("likely", 1.0) < UNLIKELY:
        return f"named {name_of(row)}, but the layer's probe finds that unlikely here ({percent(row['likely'])})"
    return f"named {name_of(row)}, but too weak here for that to be said of this photo"


def trust(row: pd.Series) -> str:
    """How far to trust a name, in a few characters: how often it is true; by the older rule coverage and stars."""
    of = status_of(row)
    if of == OLDER:
        return f"{percent(row['coverage'])} {significance(row)}".strip()
    return f"true in {percent(row['node_precision'])}" if of == KEPT else ""


def surest_first(table: pd.DataFrame, then: Sequence[str]) -> pd.DataFrame:
    """The rows of a table of latents, the most telling names first; by the older rule those that beat chance first.

    then: the columns that decide between equals, the largest value first.
    """
    doubtful = (table["q_value"].fillna(1) >= 0.05) & (status(table) == OLDER)
    ranked = table.assign(doubtful=doubtful, telling=telling(table))
    return ranked.sort_values(
        ["doubtful", "telling", *then], ascending=[True, False, *[False] * len(then)], kind="stable"
    )


def significance(row: pd.Series) -> str:
    """Stars for a latent whose coverage beats chance (q < 0.05, 0.01, 0.001), "?" for a doubtful name, else "".

    A name is doubtful when the coverage does not beat chance, or when it fits no class on images it was not chosen by.
    Nothing where it was measured whether the name is kept.
    """
    if status_of(row) != OLDER:
        return ""
    if row["q_value"] >= 0.05 or row["best_node_f1"] == 0:
        return "?"
    return "★" * sum(row["q_value"] < limit for limit in (0.05, 0.01, 0.001))
