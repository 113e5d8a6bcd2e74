"""Tab Layers: how well classes can be read, and how well the SAE does, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hsae.views.desk import Desk
from hsae.views.figures import line_chart, short_layer
from hsae.views.markup import button, number, percent, table
from hsae.views.state import Selection
from hsae.views.view import View, picker

_INTRO = (
    "A layer <em>knows</em> a class when a linear probe can read it out. x is what the model has at a layer, x̂ is what"
    " the sparse autoencoder rebuilds of it, z are its features. Click a layer to look there."
)
_SHARES = ("acc1_x", "acc1_x_hat", "acc1_z", "dead")
_COLUMNS = {
    "acc1_x": "accuracy on x", "acc1_x_hat": "on x̂", "acc1_z": "on z", "fvu": "FVU", "mse": "mse", "var": "variance",
    "l0": "L0", "dead": "dead", "n_multi_class": "features of 2+ classes", "median_height": "median height",
    "median_coverage": "median coverage",
}  # fmt: skip


def build(desk: Desk) -> View:
    """Four charts and their table."""
    charts = picker(elem_id="layers")
    return View("layers", ("model", "layer"), [charts], lambda s: [_layers(desk, s)], tab="layers", pickers=[charts])


def _layers(desk: Desk, selection: Selection) -> str:
    artifact = desk.model(selection).artifact
    return layers_html(artifact.layers, artifact.curves, selection.layer)


def layers_html(layers: Sequence[str], curves: Mapping[str, Mapping[str, Any]], selected: str) -> str:
    """Charts over layers and a table with the same numbers; `curves` is that of an artifact."""

    def read(measure: str) -> list[float | None]:
        values = [curves.get(layer, {}).get(measure) for layer in layers]
        return [float(value) if isinstance(value, int | float) else None for value in values]

    accuracy = {name: read(key) for name, key in {"x": "acc1_x", "x̂": "acc1_x_hat", "z": "acc1_z"}.items()}
    charts = [
        line_chart("Probe accuracy: share of held-out images named right", layers, accuracy, selected, top=1.0),
        line_chart("FVU: share of the variance the SAE leaves unexplained", layers, {"FVU": read("fvu")}, selected),
        line_chart("L0: features active per image", layers, {"L0": read("l0")}, selected),
        line_chart("Dead: share of features that never fire", layers, {"dead": read("dead")}, selected),
    ]
    return f'<p class="hsae-intro">{_INTRO}</p><div class="hsae-charts">{"".join(charts)}</div>' + _table(
        layers, {key: read(key) for key in _COLUMNS}, selected
    )


def _table(layers: Sequence[str], measures: Mapping[str, Sequence[float | None]], selected: str) -> str:
    kept = {key: values for key, values in measures.items() if any(value is not None for value in values)}
    rows = [
        [button(short_layer(layer), ("layer", layer), pressed=layer == selected)]
        + [(percent if key in _SHARES else number)(values[at]) for key, values in kept.items()]
        for at, layer in enumerate(layers)
    ]
    heads = ["layer", *(_COLUMNS[key] for key in kept)]
    return "<h3>The same as numbers</h3>" + table(
        "Measures by layer, on held-out images", heads, rows, current=list(layers).index(selected)
    )
