"""What the causal test found for one feature, in a sentence for its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from hsae.artifacts.documents.causal import read_advantage
from hsae.report.shown_names import KEPT, REFUSED, status_of
from hsae.views.parts.markup import esc


def causal_html(document: Mapping[str, Any] | None, layer: str, latent: int, row: pd.Series) -> str:
    """Whether steering the feature moved its WordNet subtree; row: its row of the table.

    Empty when it was not tested, or with another node than the one that names it by now.
    """
    moved, of = read_advantage(document, layer, latent), status_of(row)
    if moved is None or of == REFUSED or (of == KEPT and moved.node != row["node"]):
        return ""
    own, random, other = moved.feature, moved.random, moved.other
    ceiling = "" if moved.ceiling is None else f"; the mean of the node's photographs {_signed(moved.ceiling)}"
    verdict = "more than both controls do" if own > max(random, other, 0) else "no more than the controls do"
    return (
        "<h3>What steering it does</h3><p>Set to its strong value, it raises the logits of the classes under its node"
        f" by <b>{_signed(own)}</b> more than those of their siblings in WordNet, {esc(verdict)} (a random direction"
        f" as long {_signed(random)}, another feature {_signed(other)}{ceiling}).</p>"
    )


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{abs(value):.2f}"
