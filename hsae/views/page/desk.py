"""Where the views find what a selection stands for: its model, its photograph, its features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsae.errors import HsaeError
from hsae.hierarchy import wordnet
from hsae.session import Session
from hsae.views.page.models import Model, Models
from hsae.views.page.photos import Photos
from hsae.views.page.state import Selection

NO_PROBE = "This model was made from images without labels: it has no probe that could say which classes it sees."
_NO_NAME = ("unassigned", "silent", "")


@dataclass(frozen=True)
class Desk:
    """Answers for one selection; anything that needs the backbone raises HsaeError when it is not there."""

    models: Models
    photos: Photos

    def model(self, selection: Selection) -> Model:
        """The chosen artifact."""
        return self.models[selection.model]

    def session(self, selection: Selection) -> Session:
        """The chosen model on the chosen photograph."""
        return self.photos.session(self.model(selection), selection.image)

    def active(self, selection: Selection) -> pd.DataFrame:
        """Features active in the photo at the layer: with a name, with a doubtful one, without; each by strength."""
        table = self.session(selection).active_latents(selection.layer, top=10**6)
        doubtful = np.array([significance(row) == "?" for _, row in table.iterrows()], dtype=bool)
        order = np.lexsort((-table["strength"].fillna(0), doubtful, ~has_name(table)))
        return table.iloc[order].reset_index(drop=True)

    def focus(self, selection: Selection) -> int | None:
        """The chosen feature; else the photograph's strongest, else the layer's best covered; None if all are dead."""
        if selection.latent is not None:
            return selection.latent
        try:
            active = self.active(selection)
        except HsaeError:  # without a backbone or a photograph the table still knows a good one to start with
            active = pd.DataFrame()
        if len(active):
            return int(active["latent"].iloc[0])
        table = self.model(selection).latents(selection.layer)
        alive = table[~table["dead"]]
        alive = alive.sort_values(["n_classes", "frequency"], ascending=False, kind="stable")
        return int(alive.index[0]) if len(alive) else None


def has_name(table: pd.DataFrame) -> np.ndarray:
    """Whether each latent of a table has a label that means something, bool [n]."""
    return ~table["label"].isin(_NO_NAME).to_numpy() & table["label"].notna().to_numpy()


def feature_name(row: pd.Series, latent: int) -> str:
    """A name to show: the label, or a number where there is none."""
    label = row["label"]
    if row["n_classes"] == -1 and (pd.isna(label) or label in _NO_NAME):
        return f"feature {latent}"
    return f"no clear class ({latent})" if pd.isna(label) or label in _NO_NAME else str(label)


def significance(row: pd.Series) -> str:
    """Stars for a latent whose coverage beats chance (q < 0.05, 0.01, 0.001), "?" for a doubtful name, else "".

    A name is doubtful when the coverage does not beat chance, or when it fits no class on images it was not chosen by.
    """
    if row["q_value"] >= 0.05 or row["best_node_f1"] == 0:
        return "?"
    return "★" * sum(row["q_value"] < limit for limit in (0.05, 0.01, 0.001))


def branching_path(model: Model, wnid: str, last: int = 4) -> tuple[str, ...]:
    """The WordNet nodes above a class at which the class list branches, the tightest `last` of them, tightest last."""
    chain = wordnet().path(wnid)
    counts = [model.taxonomy.leaf_count(node) for node in chain]
    return tuple(node for node, here, below in zip(chain, counts, counts[1:], strict=False) if here > below)[-last:]
