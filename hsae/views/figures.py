"""Arrays to figures: SVG, images as data URIs, and the payload of the scatter. Pure functions, no Gradio."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from hsae.hierarchy import wordnet
from hsae.relevancy import RelevancyMap
from hsae.views.markup import Action, attributes, esc, number

# Dark to bright in even steps of lightness, and blue over white to brown: both safe for colour blindness.
_STRENGTH = ((0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39))
_CHANGE = ((5, 48, 97), (67, 147, 195), (247, 247, 247), (224, 130, 20), (127, 59, 8))

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 420, 190, 46, 10, 12, 24


def image_uri(image: Image.Image, format: str = "JPEG") -> str:
    """An image as a data URI: nothing has to be served from disk."""
    buffer = BytesIO()
    image.save(buffer, format, quality=88)
    return f"data:image/{format.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def colours(values: np.ndarray, *, signed: bool) -> np.ndarray:
    """Values in [0, 1] (signed: [-1, 1]) as RGB, uint8 [..., 3]; the first end, the middle and the last end are fixed."""
    anchors = np.array(_CHANGE if signed else _STRENGTH, dtype=float)
    at = np.linspace(-1.0 if signed else 0.0, 1.0, len(anchors))
    channels = [np.interp(values, at, anchors[:, channel]) for channel in range(3)]
    return np.rint(np.stack(channels, -1)).astype(np.uint8)


def is_signed(relevancy: RelevancyMap) -> bool:
    """Whether a map speaks against the target anywhere."""
    return bool((relevancy.values < 0).any())


def heat_image(relevancy: RelevancyMap, side: int) -> Image.Image:
    """The map in colours, `side` x `side` pixels."""
    return Image.fromarray(colours(relevancy.displayed(side, side), signed=is_signed(relevancy)))


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


def line_chart(
    title: str,
    layers: Sequence[str],
    series: Mapping[str, Sequence[float | None]],
    selected: str,
    *,
    top: float | None = None,
) -> str:
    """Curves over layers as SVG, each layer a column to click; None leaves a gap. `top`: end of the y axis."""
    known = [value for values in series.values() for value in values if value is not None]
    if not known:
        return f'<figure class="hsae-chart"><figcaption>{esc(title)}</figcaption><p>not measured</p></figure>'
    top = top or max(known) * 1.08 or 1.0
    xs = np.linspace(_LEFT, _WIDTH - _RIGHT, 2 * len(layers) + 1)[1::2]
    span = (_WIDTH - _LEFT - _RIGHT) / len(layers)
    height = _HEIGHT - _TOP - _BOTTOM

    def y(value: float) -> float:
        return _TOP + height * (1 - value / top)

    parts = [_y_axis(top, y)]
    for x, layer in zip(xs, layers, strict=True):
        parts.append(_x_label(x, layer, layer == selected, span))
    for number_, values in enumerate(series.values()):
        parts.append(_curve(number_, [(x, y(v)) for x, v in zip(xs, values, strict=True) if v is not None]))
    for column, (x, layer) in enumerate(zip(xs, layers, strict=True)):
        read = ", ".join(f"{name} {number(values[column])}" for name, values in series.items())
        action: Action = ("layer", layer)
        parts.append(
            f'<rect class="column" {attributes(action)} x="{x - span / 2:.1f}" y="0" width="{span:.1f}"'
            f' height="{_HEIGHT}"><title>{esc(f"{layer}: {read}")}</title></rect>'
        )
    keys = "".join(f'<span class="key s{n}">{esc(name)}</span>' for n, name in enumerate(series)) * (len(series) > 1)
    return (
        f'<figure class="hsae-chart"><figcaption>{esc(title)} {keys}</figcaption>'
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{esc(title)}, by layer; the table below has'
        f' the numbers">{"".join(parts)}</svg></figure>'
    )


def _y_axis(top: float, y: Any) -> str:
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(v):.1f}" y2="{y(v):.1f}"/>'
        f'<text x="{_LEFT - 6}" y="{y(v) + 4:.1f}" text-anchor="end">{number(v)}</text>'
        for v in (0.0, top / 2, top)
    )


def _x_label(x: float, layer: str, selected: bool, span: float) -> str:
    band = f'<rect class="band" x="{x - span / 2:.1f}" y="0" width="{span:.1f}" height="{_HEIGHT}"/>' * selected
    return f'{band}<text x="{x:.1f}" y="{_HEIGHT - 6}" text-anchor="middle">{esc(short_layer(layer))}</text>'


def _curve(number_: int, at: list[tuple[float, float]]) -> str:
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in at)
    return f'<g class="s{number_}"><polyline points="{line}"/>{dots}</g>'


def scatter_points(latents: pd.DataFrame) -> pd.DataFrame:
    """The latents that have a place in the hierarchy: two classes or more, tightest and best covered last."""
    multi = latents[(latents["n_classes"] > 1) & latents["lch_height"].notna() & latents["coverage"].notna()]
    return multi.sort_values(["coverage", "lch_height"], kind="stable")


def scatter_payload(latents: pd.DataFrame, selected: int | None) -> dict[str, Any]:
    """What scatter.js draws: points [latent, height, coverage, frequency, label, not by chance], and words for the axis.

    "not by chance" is None where no null was measured. The word at a height is the node most latents meet at there.
    """
    table = scatter_points(latents)
    words = {
        int(height): wordnet().name(nodes.mode().iloc[0])
        for height, nodes in table[table["lch"].notna()].groupby("lch_height")["lch"]
    }
    points = [
        [
            int(row.Index),
            int(row.lch_height),
            round(float(row.coverage), 4),
            round(float(row.frequency), 5),
            str(row.label),
            None if np.isnan(row.q_value) else bool(row.q_value < 0.05),
        ]
        for row in table.itertuples()
    ]
    return {"points": points, "words": words, "selected": selected}
