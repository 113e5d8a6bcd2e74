"""A feature's name with its evidence, and its statistics in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape

import pandas as pd

from hsae.hierarchy import wordnet
from hsae.report.columns import COLUMNS
from hsae.report.shown_names import KEPT, OF_A_NAME, REFUSED, status_of
from hsae.views.page.desk import OLDER_RULE, feature_name
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import esc, named_node, number, percent, table

_FORMS = {"number": number, "percent": percent}


def head_html(row: pd.Series, latent: int, layer: str, tau: float | None = None) -> str:
    """The name of one latent with its evidence; row: of the table of latents.

    tau: the share of a class's images on which a latent has to fire for the class to belong to it, if that is the rule.
    """
    return (
        f'<article class="hsae-card"><h2>{esc(feature_name(row, latent))}</h2>'
        f'<p class="hsae-hint">feature no. {latent} of layer {esc(short_layer(layer))}</p>'
        f"<p>{evidence_html(row, tau)}</p></article>"
    )


def evidence_html(row: pd.Series, tau: float | None = None) -> str:
    """One sentence on why the feature has its name, or that it has none."""
    if row["dead"]:
        return "It never fired on the held-out images."
    of, fires = status_of(row), f"Fires on {percent(row['frequency'])} of the held-out images"
    if of == KEPT:
        return f"{_named(row)} {fires}."
    if of == REFUSED:
        return f"Unnamed: on photographs that had no part in choosing one, no WordNet node passes as its name. {fires}."
    if row["n_classes"] < 0:
        return f"{fires}. Those had no labels, so it has a number and no name."
    return f"{_by_classes(row, fires, tau)} {OLDER_RULE}"


def evidence_text(row: pd.Series, tau: float | None = None) -> str:
    """The same without marks."""
    return unescape(re.sub(r"<[^>]*>", "", evidence_html(row, tau)))


def _named(row: pd.Series) -> str:
    others = false_share(row)
    beside = "" if others is None else f" and of {percent(others)} of the others"
    return (
        f"Named <b>{named_node(row['node'])}</b>. On photographs that had no part in choosing it, the name is said of"
        f" {percent(row['node_recall'])} of those that show one{beside}; where it is said, it is true in"
        f" <b>{percent(row['node_precision'])}</b> ({number(row['node_lift'])} times chance)."
    )


def false_share(row: pd.Series) -> float | None:
    """Share of the photographs without the node, in [0, 1], of which the name is said; None where it is not known.

    From the table's numbers: recall pi (1 - precision) / (precision (1 - pi)), pi = precision / lift.
    """
    precision, recall, lift = (float(row[f"node_{name}"]) for name in ("precision", "recall", "lift"))
    if not (precision > 0 and lift > precision):  # a name that was never true, or nothing measured
        return None
    share = precision / lift
    return recall * share * (1 - precision) / (precision * (1 - share))


def _by_classes(row: pd.Series, fires: str, tau: float | None) -> str:
    """The evidence for a name by the older rule: the classes that belong to the feature."""
    n = int(row["n_classes"])
    rule = f" (that is: it fires on at least {percent(tau)} of the class's images)" if tau else ""
    if n < 1 or not isinstance(row["lch"], str):
        return f"{fires}, but no class belongs to it{rule}: WordNet has no name for it."
    node, name = row["lch"], esc(wordnet().name(row["lch"]))
    where = f'<b title="{esc(node)}: {esc(wordnet().gloss(node))}">{name}</b>'
    if n == 1:
        return f"{fires}. One class belongs to it{rule}: {where}."
    covers = f"it covers {percent(row['coverage'])} of the classes below"
    meets = f"{fires}. {n} classes belong to it{rule}. They meet in {where}: {covers}"
    return f"{meets}{_best_fit(row)}{_chance(row)}."


def _best_fit(row: pd.Series) -> str:
    """The node that fits the classes best, where it is not the one they meet in."""
    if not isinstance(row["best_node"], str) or row["best_node"] == row["lch"]:
        return ""
    return f"; the node they match best is <b>{esc(wordnet().name(row['best_node']))}</b>"


def _chance(row: pd.Series) -> str:
    if pd.isna(row["p_value"]) or pd.isna(row["q_value"]):
        return ""
    verdict = "more" if row["q_value"] < 0.05 else "no more"
    q = f"q = {number(row['q_value'])}, the expected share of false finds among features at least as significant"
    return f"; {verdict} than chance would give (p = {number(row['p_value'])}, {q})"


def numbers_html(row: pd.Series, random: Mapping[str, float | None] | None = None) -> str:
    """Every statistic with its meaning in one line; none of a name that is refused.

    random: medians of the same statistics over random directions of the layer, said beside them.
    """
    hidden = OF_A_NAME if status_of(row) == REFUSED else ()
    known = row.drop(labels=list(hidden), errors="ignore").dropna()
    beside = {
        name: f"; random directions of this layer reach {value:.2f}"
        for name, value in (random or {}).items()
        if value is not None
    }
    rows = [
        [
            f"<b>{esc(words.name)}</b>",
            _FORMS[words.form](float(known[name])),
            esc(words.meaning + beside.get(name, "")),
        ]
        for name, words in ((column.name, column.words) for column in COLUMNS)
        if words is not None and name in known and known[name] != -1
    ]
    listed = table("Statistics on held-out images", ["", "value", "what it means"], rows)
    return f"<details><summary>All its numbers</summary>{listed}</details>"
