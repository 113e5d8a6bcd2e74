"""What the causal test found for one feature, in a sentence for its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hsae.views.parts.markup import esc
from hsae.views.tabs.hierarchy.tree_document import listed, within


def causal_html(document: Mapping[str, Any] | None, layer: str, latent: int) -> str:
    """Whether steering the feature moved its WordNet subtree; empty when this feature was not tested."""
    rows = listed(within(document, "layers", layer, "features"))
    row = next((row for row in rows if type(within(row, "latent")) is int and row["latent"] == latent), None)
    moved = [_advantage(row, control) for control in ("feature", "random", "other")]
    if None in moved:
        return ""
    own, random, other = moved
    verdict = "more than both controls do" if own > max(random, other, 0) else "no more than the controls do"
    return (
        "<h3>What steering it does</h3><p>Set to its strong value, it raises the logits of the classes under its node"
        f" by <b>{_signed(own)}</b> more than those of their siblings in WordNet, {esc(verdict)} (a random direction"
        f" as long {_signed(random)}, another feature {_signed(other)}).</p>"
    )


def _advantage(row: Any, control: str) -> float | None:
    value = within(row, "set", control, "advantage")
    return float(value) if type(value) in (int, float) else None


def _signed(value: float) -> str:
    return f"{'+' if value > 0 else '−' if value < 0 else ''}{abs(value):.2f}"
