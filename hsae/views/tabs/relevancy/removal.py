"""What happens to a feature when the patches its map calls relevant are taken away: curves and a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from hsae.faithfulness.curves import Curve
from hsae.views.parts.markup import esc, number, percent
from hsae.views.tabs.hierarchy.tree_document import listed, within

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 420, 190, 46, 24
_ORDERS = (("most relevant first", "morf"), ("at random", "random"), ("least relevant first", "lerf"))


def removal_html(curve: Curve, document: Mapping[str, Any] | None, layer: str, latent: int, method: str) -> str:
    """The three curves, the verdict on this map, and the score this feature has over many photographs."""
    return (
        "<h3>How true is this map?</h3>"
        f'<p>{esc(verdict(curve))}</p><div class="hsae-charts">{_chart(curve)}</div>'
        f"{_typical(document, layer, latent, method)}"
        f'<p class="hsae-hint">Patches are replaced by a {esc(_words(curve.baseline))} one after the other, and the'
        " feature is read again. In a true map it falls soon when the most relevant go first, and late when they go"
        " last.</p>"
    )


def _words(baseline: str) -> str:
    return {"blur": "blurred picture", "mean": "plain mean colour", "mask": "mask token"}.get(baseline, baseline)


def verdict(curve: Curve) -> str:
    """One sentence: nothing to lose, better than chance, or not."""
    if not curve.lost > 0:
        return "Without the picture the feature fires as much as with it: there is nothing for a map to explain."
    better = curve.random_gap
    if np.isnan(better) or better <= 0.02:
        return f"Removing by this map is no better than removing at random (gain {number(better)})."
    return (
        f"Removing the most relevant patches first lowers the feature sooner than at random: by {percent(better)} of"
        " what there is to lose, averaged over the removal."
    )


def _chart(curve: Curve) -> str:
    values = np.concatenate([getattr(curve, order) for _, order in _ORDERS])
    low, high = float(min(values.min(), 0)), float(max(values.max(), 1e-9))

    def place(fraction: float, value: float) -> str:
        x = _LEFT + (_WIDTH - _LEFT - 22) * fraction
        return f"{x:.1f},{10 + (_HEIGHT - _BOTTOM - 10) * (high - value) / (high - low):.1f}"

    lines, keys = "", ""
    for rank, (words, order) in enumerate(_ORDERS):
        points = [place(f, v) for f, v in zip(curve.fractions, getattr(curve, order), strict=True)]
        dots = "".join(f'<circle cx="{p.split(",")[0]}" cy="{p.split(",")[1]}" r="3"/>' for p in points)
        lines += f'<g class="s{rank}"><polyline points="{" ".join(points)}"/>{dots}</g>'
        keys += f'<span class="key s{rank}">{words}</span>'
    marks = "".join(
        f'<text x="{place(f, low).split(",")[0]}" y="{_HEIGHT - 6}" text-anchor="middle">{100 * f:.0f} %</text>'
        for f in curve.fractions
    )
    marks += "".join(
        f'<text x="{_LEFT - 6}" y="{float(place(0, v).split(",")[1]) + 4:.1f}" text-anchor="end">{number(v)}</text>'
        for v in (low, high)
    )
    told = ", ".join(f"{words}: {number(float(getattr(curve, order)[1]))} after the first" for words, order in _ORDERS)
    return (
        f'<figure class="hsae-chart"><figcaption>The feature as patches go {keys}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{esc(told)}">{marks}{lines}</svg></figure>'
    )


def _typical(document: Mapping[str, Any] | None, layer: str, latent: int, method: str) -> str:
    """What was measured for this feature and method over many photographs, if it was."""
    features = within(document, "layers", layer, "features")
    latents, gaps = listed(within(features, "latent")), listed(within(features, "gap", method))
    if latent not in latents or len(gaps) != len(latents):
        return ""
    gap = gaps[latents.index(latent)]
    if type(gap) not in (int, float):
        return ""
    return f"<p>Over many photos this feature's maps by this method score {number(gap)} (0 is chance, 1 is good).</p>"
