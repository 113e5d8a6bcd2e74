"""Arrays to figures: SVG, images as data URIs, and the payload of the scatter. Pure functions, no Gradio."""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image

from hsae.relevancy import RelevancyMap
from hsae.views.parts.markup import attributes, esc, number, percent

# Dark to bright in even steps of lightness, and blue over white to brown: both safe for colour blindness.
_STRENGTH = ((0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39))
_LABEL = 22
"""Room that the label of a layer needs, in SVG units."""
_CHANGE = ((5, 48, 97), (67, 147, 195), (247, 247, 247), (224, 130, 20), (127, 59, 8))


def image_uri(image: Image.Image, format: str = "JPEG") -> str:
    """An image as a data URI: nothing has to be served from disk."""
    buffer = BytesIO()
    image.save(buffer, format, quality=88)
    return f"data:image/{format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def square_marked(image: Image.Image, box: tuple[int, int, int, int]) -> Image.Image:
    """The image with everything greyed but a square (left, top, right, bottom), which is all a model sees."""
    marked = Image.blend(image, Image.new("RGB", image.size, (128, 128, 128)), 0.65)
    marked.paste(image.crop(box), box)
    return marked


def colours(values: np.ndarray, *, signed: bool) -> np.ndarray:
    """Values in [0, 1] (signed: [-1, 1]) as RGB, uint8 [..., 3]; what lies beyond gets the colour of the end."""
    anchors = np.array(_CHANGE if signed else _STRENGTH, dtype=float)
    at = np.linspace(-1.0 if signed else 0.0, 1.0, len(anchors))
    channels = [np.interp(values, at, anchors[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, -1)).astype(np.uint8)


def cell_css(share: float) -> str:
    """A share in [0, 1] as the colour of a cell, with black or white ink, whichever stands out more (WCAG 2.2)."""
    rgb = colours(np.array(0.15 + 0.8 * share), signed=False)
    linear = ((rgb / 255 + 0.055) / 1.055) ** 2.4
    bright = linear @ (0.2126, 0.7152, 0.0722) > 0.179
    return f"--cell:rgb({rgb[0]} {rgb[1]} {rgb[2]});--ink:{'#000' if bright else '#fff'}"


def is_signed(relevancy: RelevancyMap) -> bool:
    """Whether a map is negative anywhere."""
    return bool((relevancy.values < 0).any())


def heat_image(relevancy: RelevancyMap, side: int, limit: float | None = None) -> Image.Image:
    """The map in colours, `side` x `side` pixels; limit: the end of a scale shared with other maps."""
    shown = relevancy.displayed(side, side) * (1.0 if limit is None else relevancy.limit / limit)
    return Image.fromarray(colours(shown, signed=is_signed(relevancy)))


def gradient_css(*, signed: bool) -> str:
    """The colour scale as a CSS gradient from left to right."""
    at = np.linspace(-1 if signed else 0, 1, 9)
    stops = ", ".join(f"rgb({r} {g} {b})" for r, g, b in colours(at, signed=signed).tolist())
    return f"linear-gradient(to right, {stops})"


def strongest_place(values: np.ndarray) -> str:
    """Where in the picture the largest value of a grid [rows, cols] lies, in words."""
    row, col = np.unravel_index(int(np.argmax(values)), values.shape)
    rows, cols = ("top", "middle", "bottom"), ("left", "centre", "right")
    return f"{rows[3 * row // values.shape[0]]} {cols[3 * col // values.shape[1]]}"


def short_layer(layer: str) -> str:
    """block_11 -> 11; other names as they are."""
    return layer.removeprefix("block_")


def nice_top(values: Sequence[float]) -> float:
    """The smallest of 1, 2, 2.5, 5 times a power of ten that is not below any of the values; 1 when all are 0."""
    largest = max(values)
    if largest <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(largest))
    return next(step * power for step in (1.0, 2.0, 2.5, 5.0, 10.0) if step * power >= largest * (1 - 1e-9))


def line_chart(
    title: str,
    layers: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    selected: str,
    *,
    top: float | None = None,
) -> str:
    """Curves over layers as SVG, each layer a column to click; None leaves a gap. top: end of the y axis."""
    known = [value for values in series.values() for value in values if value is not None]
    if not known:
        return _unmeasured(title)
    return _chart(title, layers, series, selected, _Frame(len(layers), top or nice_top(known)))


def share_chart(title: str, layers: Sequence[str], series: Mapping[str, Sequence[float]], selected: str) -> str:
    """The same of shares on an axis from 0 to 100 %, as wide as a chart that has a row for itself."""
    return _chart(title, layers, series, selected, _Frame(len(layers), 1.0, width=1000, read=percent))


def log_chart(title: str, layers: Sequence[str], series: Mapping[str, Sequence[float | None]], selected: str) -> str:
    """The same on a logarithmic axis of whole powers of ten; what is not above 0 leaves a gap."""
    powers = {
        name: [math.log10(value) if value is not None and value > 0 else None for value in values]
        for name, values in series.items()
    }
    known = [power for values in powers.values() for power in values if power is not None]
    if not known:
        return _unmeasured(title)
    low, top = math.floor(min(known)), math.ceil(max(known))
    return _chart(title, layers, powers, selected, _Frame(len(layers), max(top, low + 1), low=low, read=_power))


def _power(value: float | None) -> str:
    return number(None if value is None else 10**value)


def _unmeasured(title: str) -> str:
    return f'<figure class="hsae-chart"><figcaption>{esc(title)}</figcaption><p>not measured</p></figure>'


def _chart(
    title: str, layers: Sequence[str], series: Mapping[str, Sequence[float | None]], selected: str, frame: _Frame
) -> str:
    parts = [_y_axis(frame)]
    chosen = list(layers).index(selected) if selected in layers else -frame.n
    parts += [_x_label(frame, at, layer, chosen) for at, layer in enumerate(layers)]
    parts += [_curve(frame, rank, values) for rank, values in enumerate(series.values())]
    parts += [_column(frame, at, layer, series) for at, layer in enumerate(layers)]
    keys = "".join(f'<span class="key s{rank}">{esc(name)}</span>' for rank, name in enumerate(series))
    return (
        f'<figure class="hsae-chart"><figcaption>{esc(title)} {keys if len(series) > 1 else ""}</figcaption>'
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{esc(title)}, by layer">'
        f"{''.join(parts)}</svg></figure>"
    )


@dataclass(frozen=True)
class _Frame:
    """Where things lie in a chart of `n` columns, in SVG units."""

    n: int
    top: float
    width: int = 420
    height: int = 190
    left: int = 46
    low: float = 0
    read: Callable[[float | None], str] = number
    """A value of the axis as text."""

    @property
    def labelled(self) -> int:
        """Every so many columns have a label: as many as can be read."""
        return math.ceil(_LABEL / self.span)

    @property
    def span(self) -> float:
        return (self.width - self.left - 10) / self.n

    def x(self, at: int) -> float:
        return self.left + self.span * (at + 0.5)

    def y(self, value: float) -> float:
        return 12 + (self.height - 36) * (self.top - value) / (self.top - self.low)


def _y_axis(frame: _Frame) -> str:
    return "".join(
        f'<line class="grid" x1="{frame.left}" x2="{frame.width - 10}" y1="{frame.y(v):.1f}" y2="{frame.y(v):.1f}"/>'
        f'<text x="{frame.left - 6}" y="{frame.y(v) + 4:.1f}" text-anchor="end">{frame.read(v)}</text>'
        for v in (frame.low, (frame.low + frame.top) / 2, frame.top)
    )


def _x_label(frame: _Frame, at: int, layer: str, chosen: int) -> str:
    """Where there is no room for every layer's, the chosen one's, and an even choice of those that keep clear of it."""
    if at != chosen and (at % frame.labelled or abs(at - chosen) < frame.labelled):
        return ""
    return (_area(frame, at, "band") if at == chosen else "") + (
        f'<text x="{frame.x(at):.1f}" y="{frame.height - 6}" text-anchor="middle">{esc(short_layer(layer))}</text>'
    )


def _curve(frame: _Frame, rank: int, values: Sequence[float | None]) -> str:
    known = [(frame.x(at), frame.y(value)) for at, value in enumerate(values) if value is not None]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in known)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in known)
    return f'<g class="s{rank}"><polyline points="{line}"/>{dots}</g>'


def _column(frame: _Frame, at: int, layer: str, series: Mapping[str, Sequence[float | None]]) -> str:
    """The part of the chart that belongs to a layer: a click selects it, its title has the numbers."""
    read = ", ".join(f"{name} {frame.read(values[at])}" for name, values in series.items())
    return _area(frame, at, "column", attributes(("layer", layer)), f"<title>{esc(f'{layer}: {read}')}</title>")


def _area(frame: _Frame, at: int, css: str, extra: str = "", inside: str = "") -> str:
    x, width = frame.x(at) - frame.span / 2, frame.span
    return f'<rect class="{css}" {extra} x="{x:.1f}" y="0" width="{width:.1f}" height="{frame.height}">{inside}</rect>'
