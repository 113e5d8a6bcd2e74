"""What a latent may be called: the one place that decides which name is shown, in the app, in tables and to programs.

`named` of latents.parquet says what became of the node that a latent tells best: 1, it is kept as the latent's name; 0,
it is refused, and the latent is unnamed whatever else the table calls it; -1, it was never measured, as in artifacts of
older versions, whose labels come from an older rule.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from hsae.hierarchy import wordnet
from hsae.report.columns import COLUMNS

KEPT, REFUSED, OLDER = 1, 0, -1
"""What became of a latent's name, as in the column `named`."""
SILENT, UNASSIGNED = "silent", "unassigned"
"""Labels by the older rule of latents without a node: they never fire, or nothing in WordNet fits them."""
UNNAMED = "unnamed"
"""Label of a latent whose name is refused."""
OF_A_NAME = (
    "node_ap_gain", "node_mcc", "node_precision", "node_recall", "node_lift", "node_threshold", "node_worth",
    "node_slope", "node_offset", "best_node_f1", "ap",
)  # fmt: skip
"""Columns that say how well a node fits: they mean nothing to those who are not told which."""
_NO_NAMES = (SILENT, UNASSIGNED, UNNAMED, "")
_NODES = tuple(column.name for column in COLUMNS if column.type == "wnid")


def status(table: pd.DataFrame) -> pd.Series:
    """KEPT, REFUSED or OLDER for each latent, by its index; a name that is no noun of WordNet is refused."""
    if "named" not in table:
        return pd.Series(OLDER, index=table.index, dtype=int)
    named = table["named"].to_numpy(float, na_value=OLDER)
    of = np.where(named == KEPT, KEPT, np.where(named == REFUSED, REFUSED, OLDER))
    kept = np.flatnonzero(of == KEPT)
    nodes = table["node"].iloc[kept].tolist() if "node" in table else [None] * len(kept)
    of[kept] = [_status(KEPT, node) for node in nodes]
    return pd.Series(of, index=table.index, dtype=int)


def status_of(row: pd.Series) -> int:
    """The same for one row of a table."""
    return _status(row.get("named"), row.get("node"))


def labels(table: pd.DataFrame) -> pd.Series:
    """The label of each latent as it may be shown: the node's first word, "unnamed", or that of the older rule."""
    of, part = status(table), table.reindex(columns=["node", "label"])
    words = {node: wordnet().name(node) for node in part["node"][of == KEPT].unique()}
    named = part["node"].map(words).where(of == KEPT, UNNAMED)
    return part["label"].where(of == OLDER, named)


def names(table: pd.DataFrame) -> pd.Series:
    """The name of each latent; missing where it has none."""
    words = labels(table)
    return words.where(~words.isin(_NO_NAMES))


def name_of(row: pd.Series) -> str | None:
    """The name of the latent of one row of a table; None without one."""
    of = status_of(row)
    label = wordnet().name(row["node"]) if of == KEPT else row["label"] if of == OLDER else UNNAMED
    return None if pd.isna(label) or label in _NO_NAMES else str(label)


def as_shown(table: pd.DataFrame) -> pd.DataFrame:
    """A table of latents as visitors and programs see it: where the name is refused, without a word that names it.

    Its `label` is that of `labels`, and every node of WordNet is missing; numbers stay. Doing so twice changes nothing.
    """
    of = status(table)
    hidden = {name: table[name].where(of != REFUSED) for name in _NODES if name in table}
    return table.assign(**hidden, label=labels(table), named=of.astype("int32"))


def name_nodes(table: pd.DataFrame, older: str) -> pd.Series:
    """The node that each latent is named after; `older`: the column that says so by the older rule. Missing: none."""
    of, part = status(table), table.reindex(columns=["node", older])
    return part["node"].where(of == KEPT, part[older].where(of == OLDER)).astype(object)


def name_f1(table: pd.DataFrame) -> pd.Series:
    """How well each latent fits the node it is named after, in [0, 1] on images that did not choose it; else NaN.

    2 precision recall / (precision + recall) of its images; by the older rule best_node_f1.
    """
    of, part = status(table), table.reindex(columns=["node_precision", "node_recall", "best_node_f1"])
    precision, recall = part["node_precision"].astype(float), part["node_recall"].astype(float)
    measured = 2 * precision * recall / (precision + recall)
    return measured.where(of == KEPT, part["best_node_f1"].astype(float).where(of == OLDER))


def telling(table: pd.DataFrame) -> pd.Series:
    """How much a name is expected to tell when it is said, in bits (`node_worth`); 0 without one.

    It is known before any test image is looked at, so that the order of a list is not chosen by what scores it. Tables
    of older versions have no such column: there precision x log2(1 / pi) of the test images, pi = precision / lift.
    """
    part = table.reindex(columns=["node_precision", "node_lift", "node_worth"]).astype(float)
    precision, lift = part["node_precision"], part["node_lift"]
    measured = (precision > 0) & (lift > 0)
    pi = (precision / lift).where(measured, 1.0)
    older = (precision * np.log2(1 / pi)).where(measured, 0.0)
    return part["node_worth"].fillna(older).where(status(table) == KEPT, 0.0)


UNLIKELY = 0.2
"""A name that the layer's probe finds less likely is not said of a photograph. The smallest of 0.05, 0.1, 0.2 ... with
which six of ten first names are true of 500 ImageNet photographs (block 11 of the packaged SAEs)."""


def said_first(active: pd.DataFrame) -> pd.DataFrame:
    """Latents of a photograph in the order of a list: those whose name is said of it, the likeliest to be true first.

    Likely by the layer's probe, else, of patches or without a probe, by how strongly the latent speaks (`chance`):
    on photographs of things that no class covers, latents are too sure. Of several latents of one node those that fire
    come first, since there is something to see of them. Equally likely names by what they tell, as are all names of
    tables of older versions, which know neither. Not by chance x bits: narrow names that are false then come first.
    active: as `Session.active_latents` gives it; the others follow as they came.
    """
    said = active["said"].to_numpy(bool)
    known = active.reindex(columns=["likely", "chance", "activation"]).astype(float)
    fires = known["likely"].notna() & (known["activation"] > 0)
    likely = known["likely"].fillna(known["chance"]).fillna(0)
    order = np.lexsort((*(np.where(said, -key, 0.0) for key in (telling(active), fires.astype(float), likely)), ~said))
    return active.iloc[order].reset_index(drop=True)


def _status(named: object, node: object) -> int:
    if named == KEPT:
        return KEPT if node in wordnet() else REFUSED
    return REFUSED if named == REFUSED else OLDER
