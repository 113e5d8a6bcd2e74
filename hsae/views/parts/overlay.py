"""Several models in one chart: a measure over relative depth, every point a layer to go to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hsae.views.parts.charts import nice_top, short_layer
from hsae.views.parts.markup import attributes, esc, number

Point = tuple[str, float | None]
"""Layer and value."""
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 420, 190, 46, 12, 30


def overlay_chart(title: str, models: Mapping[str, Sequence[Point]], selected: tuple[str, str]) -> str:
    """One curve a model; a layer stands at (its number - 1/2) / number of layers, input left, output right.

    selected: model and layer, whose point is ringed. Empty for a single model.
    """
    known = [value for points in models.values() for _, value in points if value is not None]
    if len(models) < 2 or not known:
        return ""
    top = nice_top(known)
    ticks = "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - 10}" y1="{_y(v / top):.1f}" y2="{_y(v / top):.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{_y(v / top) + 4:.1f}" text-anchor="end">{number(v)}</text>'
        for v in (0.0, top / 2, top)
    )
    ends = "".join(
        f'<text x="{_x(at):.1f}" y="{_HEIGHT - 8}" text-anchor="{anchor}">{word}</text>'
        for at, anchor, word in ((0, "start", "input"), (0.5, "middle", "relative depth"), (1, "end", "output"))
    )
    curves = "".join(_curve(rank, model, points, top, selected) for rank, (model, points) in enumerate(models.items()))
    keys = "".join(f'<span class="key s{rank % 4}">{esc(name)}</span>' for rank, name in enumerate(models))
    return (
        f'<figure class="hsae-chart"><figcaption>{esc(title)} {keys}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="group" aria-label="{esc(title)}, all models by relative depth">'
        f"{ticks}{ends}{curves}</svg></figure>"
    )


def _curve(rank: int, model: str, points: Sequence[Point], top: float, selected: tuple[str, str]) -> str:
    placed = [
        (layer, value, _x((at + 0.5) / len(points)), _y(value / top))
        for at, (layer, value) in enumerate(points)
        if value is not None
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for _, _, x, y in placed)
    dots = "".join(
        f'<circle class="place{" chosen" * ((model, layer) == selected)}" cx="{x:.1f}" cy="{y:.1f}" r="5" tabindex="0"'
        f' role="button" {attributes(("place", f"{model}|{layer}"))}'
        f' aria-label="{esc(model)}, layer {esc(short_layer(layer))}: {number(value)}">'
        f"<title>{esc(model)}, layer {esc(short_layer(layer))}: {number(value)}</title></circle>"
        for layer, value, x, y in placed
    )
    return f'<g class="s{rank % 4}"><polyline points="{line}"/>{dots}</g>'


def _x(share: float) -> float:
    return _LEFT + (_WIDTH - _LEFT - 10) * share


def _y(share: float) -> float:
    return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share)
