"""The figure of a model card: measures by layer as small line charts in one SVG."""

from __future__ import annotations

from collections.abc import Mapping
from xml.sax.saxutils import escape

WIDTH, HEIGHT, MARGIN = 220, 150, 30


def layer_figure(measured: Mapping[str, Mapping[str, float]], titles: Mapping[str, str]) -> str:
    """One panel per measure in `titles` {key: title} that some layer has: x the layer, y from 0 to the largest."""
    keys = [key for key in titles if any(key in row for row in measured.values())]
    panels = [_panel(number, titles[key], measured, key) for number, key in enumerate(keys)]
    size = f'width="{WIDTH * max(1, len(keys))}" height="{HEIGHT}"'
    style = 'font-family="sans-serif" font-size="11" fill="#444"'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{"".join(panels)}</svg>\n'


def _panel(number: int, title: str, measured: Mapping[str, Mapping[str, float]], key: str) -> str:
    names, values = list(measured), [row.get(key) for row in measured.values()]
    top = max((abs(value) for value in values if value is not None), default=0) or 1
    left, bottom, inner = number * WIDTH + MARGIN, HEIGHT - MARGIN, WIDTH - 1.5 * MARGIN
    places = [
        f"{left + inner * i / max(1, len(values) - 1):.1f},{bottom - (bottom - MARGIN) * max(0, value) / top:.1f}"
        for i, value in enumerate(values)
        if value is not None
    ]
    dots = "".join(f'<circle cx="{x}" cy="{y}" r="2.5"/>' for x, y in (place.split(",") for place in places))
    return (
        f'<g><text x="{left}" y="14" font-weight="bold">{escape(title)}</text>'
        f'<text x="{left}" y="{HEIGHT - 8}">{escape(names[0])} to {escape(names[-1])}, 0 to {top:.3g}</text>'
        f'<path d="M{left},{bottom}h{inner}" stroke="#bbb"/>'
        f'<polyline points="{" ".join(places)}" fill="none" stroke="#2171b5" stroke-width="2"/>'
        f'<g fill="#2171b5">{dots}</g></g>\n'
    )
