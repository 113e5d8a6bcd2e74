"""Where the views find what a selection stands for: its model, its photograph, its features."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from hsae.errors import HsaeError
from hsae.hierarchy import wordnet
from hsae.session import Session
from hsae.views.models import Model, Models
from hsae.views.photos import Photos
from hsae.views.state import Selection


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
        """Features active in the photograph at the layer: those with a name first, each group by strength."""
        table = self.session(selection).latents(selection.layer, top=10**6)
        named = has_name(table)
        order = np.lexsort((-table["strength"].fillna(0), ~named))
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
    """Whether each latent of a table belongs to at least one class, bool [n]."""
    return (table["n_classes"] > 0).to_numpy() | table["best_node"].notna().to_numpy()


def feature_name(row: pd.Series, latent: int) -> str:
    """A name to show: the label, or a number where no class belongs to the latent."""
    named = row["n_classes"] > 0 or isinstance(row["best_node"], str)
    return str(row["label"]) if named else f"no clear class ({latent})"


def path_words(model: Model, wnid: str, last: int = 4) -> str:
    """Where a class stands in WordNet: the branching nodes above it, the tightest `last` of them, in words."""
    if wnid not in model.taxonomy.classes:
        return ""
    chain = wordnet().path(wnid)
    counts = [model.taxonomy.leaf_count(node) for node in chain]
    branching = [node for node, here, below in zip(chain, counts, counts[1:], strict=False) if here > below]
    return " › ".join(wordnet().name(node) for node in branching[-last:])
