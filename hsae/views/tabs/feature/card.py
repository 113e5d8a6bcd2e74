"""A feature's name with its evidence, its photographs, and its statistics in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from hsae.hierarchy import wordnet
from hsae.report.columns import COLUMNS
from hsae.report.shown_names import KEPT, OF_A_NAME, REFUSED, status_of
from hsae.views.page.desk import OLDER_RULE, feature_name
from hsae.views.page.photos import starter_keys, thumbnail
from hsae.views.parts.charts import short_layer
from hsae.views.parts.markup import esc, named_node, notice, number, percent, picture_button, table

_FORMS = {"number": number, "percent": percent}


def card_html(
    row: pd.Series,
    latent: int,
    layer: str,
    best: Sequence[tuple[str, float]],
    tau: float | None = None,
    own: str = "",
) -> str:
    """The card of one latent: its row of the table, and its strongest starter photographs (key, activation).

    tau: the share of a class's images on which a latent has to fire for the class to belong to it, if that is the rule;
    own: what `own_images_html` shows, first of all.
    """
    return (
        f'<article class="hsae-card"><h2>{esc(feature_name(row, latent))}</h2>'
        f'<p class="hsae-hint">feature no. {latent} of layer {esc(short_layer(layer))}</p>'
        f"<p>{evidence_html(row, tau)}</p>{own}<h3>Starter photos that move it most</h3>{_photos(best)}</article>"
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


def _named(row: pd.Series) -> str:
    return (
        f"Named <b>{named_node(row['node'])}</b>: on photographs that had no part in choosing it, the name is true in"
        f" {percent(row['node_precision'])} of its firings ({number(row['node_lift'])} times chance), and it fires for"
        f" {percent(row['node_recall'])} of such photographs."
    )


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


def _photos(best: Sequence[tuple[str, float]]) -> str:
    names = starter_keys()
    known = [(key, value) for key, value in best if key in names]
    if not known:
        return notice("None of the starter photos moves it; it was found on other images.")
    buttons = (
        picture_button(thumbnail(key, 144), names[key], ("image", key), caption=f"{names[key]} · {number(value)}")
        for key, value in known
    )
    hint = '<p class="hsae-hint">the number is the activation; click a photo to look at it</p>'
    return f'<div class="hsae-top">{"".join(buttons)}</div>{hint}'


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
    return "<h3>Its numbers</h3>" + table("Statistics on held-out images", ["", "value", "what it means"], rows)
