"""What happens to a concept or a feature when what its map calls relevant is taken away: a sentence and curves."""

from __future__ import annotations

import numpy as np

from hsae.faithfulness.curves import Curve
from hsae.views.parts.markup import esc, number, percent

_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 420, 190, 46, 24
_ORDERS = (("most relevant first", "morf"), ("at random", "random"), ("least relevant first", "lerf"))


def removal_html(name: str, curve: Curve, typical: float | None = None) -> str:
    """The verdict on the map of a concept or feature, and, folded up, the three curves behind it.

    typical: the gap that maps of this feature have over many photographs, where that was measured.
    """
    many = (
        ""
        if typical is None
        else f" Over many photos this feature's maps by this method score {number(typical)} (0 is chance, 1 is good)."
    )
    return (
        f'<div class="hsae-removal"><p>{esc(verdict(name, curve))}{many}</p>'
        f"<details><summary>How this map was tested</summary>{_chart(name, curve)}"
        f'<p class="hsae-hint">Patches are replaced by a {esc(_words(curve.baseline))} one after the other, and'
        f" “{esc(name)}” is read again. In a true map it falls soon when the most relevant go first, and late when they"
        " go last.</p></details></div>"
    )


def _words(baseline: str) -> str:
    return {"blur": "blurred picture", "mean": "plain mean colour", "mask": "mask token"}.get(baseline, baseline)


def verdict(name: str, curve: Curve) -> str:
    """One sentence: nothing to lose, better than chance, or not."""
    if not curve.lost > 0:
        return f"Without the picture “{name}” is read as strongly as with it: there is nothing for a map to explain."
    better = curve.random_gap
    if np.isnan(better) or better <= 0.02:
        return f"Not true of “{name}”: removing by this map is no better than removing at random."
    return (
        f"Removing what is brightest first lowers “{name}” sooner than removing at random: by {percent(better)} of what"
        " there is to lose, averaged over the removal."
    )


def _chart(name: str, curve: Curve) -> str:
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
        f'<figure class="hsae-chart"><figcaption>“{esc(name)}” as patches go {keys}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{esc(told)}">{marks}{lines}</svg></figure>'
    )
