"""Tab All layers: how well classes can be read, and how well the SAE does, layer by layer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pandas as pd

from hsae.report.columns import LAYER_NUMBERS
from hsae.report.shown_names import OLDER, status, status_of
from hsae.views.page.desk import OLDER_RULE, Desk, said_name, trust, unsaid
from hsae.views.page.selection import Selection
from hsae.views.parts.charts import line_chart, log_chart, short_layer
from hsae.views.parts.markup import button, number, percent, table
from hsae.views.parts.overlay import overlay_chart
from hsae.views.parts.view import View, picker
from hsae.views.tabs.hierarchy.scatter import density_html
from hsae.views.tabs.layers import consistency
from hsae.views.tabs.layers.nodes import nodes_html
from hsae.views.tabs.layers.scoreboard import scoreboard_html

_INTRO = (
    '<p class="hsae-intro">A layer <em>knows</em> a class when a linear probe can read it out. x is what the model has'
    " at a layer, x̂ is what the sparse autoencoder (SAE) rebuilds of it, z are the SAE's features. Click a layer to"
    " look there.</p>"
)
_FEATURES = 4
_OVERLAID = {
    "acc1_x": "Probe accuracy on x",
    "fvu": "FVU",
    "share_significant": "Share of features of 2+ classes that beat chance",
    "mean_coverage": "Mean coverage",
}
_ACCURACIES = {
    "x": "acc1_x", "x̂, refitted": "acc1_x_hat", "x̂, unchanged": "acc1_x_on_x_hat", "z, refitted": "acc1_z"
}  # fmt: skip
_SHARES = ("acc1_x", "acc1_x_hat", "acc1_x_on_x_hat", "acc1_z", "ece_x", "dead")
_COLUMNS = (
    *("acc1_x", "acc1_x_hat", "acc1_x_on_x_hat", "acc1_z", "ece_x", "fvu", "mse", "var", "l0", "dead"),
    *("n_multi_class", "median_height", "median_coverage", "n_significant"),
)


def build(desk: Desk) -> list[View]:
    """What fires at the photo in each layer, then charts about the layers and their table."""
    fires, charts, scatters = picker(elem_id="fires"), picker(elem_id="layers"), picker(elem_id="densities")
    reads = ("model", "layer", "image")
    return [
        View("fires", reads, [fires], lambda s: [_fires(desk, s)], tab="layers", pickers=[fires], quiet=True),
        View("layers", reads[:2], [charts], lambda s: [_layers(desk, s)], tab="layers", pickers=[charts]),
        View("densities", reads[:2], [scatters], lambda s: [_densities(desk, s)], tab="layers", pickers=[scatters]),
        consistency.view(desk),
    ]


def _fires(desk: Desk, selection: Selection) -> str:
    """The features of the photo in every layer."""
    layers = desk.model(selection).artifact.layers
    features = {layer: desk.active(replace(selection, layer=layer)).head(_FEATURES) for layer in layers}
    return fires_html(features, selection.layer)


def fires_html(features_by_layer: Mapping[str, pd.DataFrame], selected: str) -> str:
    """Per layer the first features of a table as `Desk.active` gives it, each with its evidence; a fold-out."""
    rows = [
        [button(short_layer(layer), ("layer", layer), pressed=layer == selected), _faces(layer, features)]
        for layer, features in features_by_layer.items()
    ]
    listed = table("The first features of the photo by layer", ["layer", "features"], rows,
                   current=list(features_by_layer).index(selected))  # fmt: skip
    older = "★ beats chance at q < 0.05, ★★ 0.01, ★★★ 0.001; ? does not. The share is the feature's coverage."
    measured = "True in: of other photos that the name is said of, the share that show such a thing."
    known = any((status(table) != OLDER).any() for table in features_by_layer.values())
    hint = measured if known else f"{older} {OLDER_RULE}"
    return (
        "<details><summary>The first features of this photo, layer by layer</summary>"
        f'{listed}<p class="hsae-hint">{hint}</p></details>'
    )


def _faces(layer: str, features: pd.DataFrame) -> str:
    return "".join(
        button(
            f"{said_name(row, int(row['latent']))} {'' if unsaid(row) else trust(row)}",
            ("feature", f"{layer}:{int(row['latent'])}"),
            title=", ".join(filter(None, (f"feature no. {int(row['latent'])}", unsaid(row), _strength(row)))),
        )
        for _, row in features.iterrows()
    )


def _strength(row: pd.Series) -> str:
    p = f", p = {number(row['p_value'])}" if status_of(row) == OLDER else ""
    return f"strength {number(row['strength'])}{p}"


def _densities(desk: Desk, selection: Selection) -> str:
    model = desk.model(selection)
    return density_html(model.densities, selection.layer) if model.has_classes else ""


def _layers(desk: Desk, selection: Selection) -> str:
    artifact, layer = desk.model(selection).artifact, selection.layer
    return (
        _overlays(desk, selection)
        + layers_html(artifact.layers, artifact.curves, layer)
        + nodes_html(artifact.tree, artifact.layers, layer)
        + scoreboard_html(artifact.document("scoreboard"), artifact.layers, layer)
    )


def _overlays(desk: Desk, selection: Selection) -> str:
    """What all models of the page have in common, when there are several."""
    charts = "".join(
        overlay_chart(
            title,
            {
                name: [(layer, model.curve(layer, measure)) for layer in model.artifact.layers]
                for name, model in desk.models.items()
            },
            (selection.model, selection.layer),
        )
        for measure, title in _OVERLAID.items()
    )
    return f'<h3>All models of this page</h3><div class="hsae-charts">{charts}</div>' if charts else ""


def layers_html(layers: Sequence[str], curves: Mapping[str, Mapping[str, Any]], selected: str) -> str:
    """Charts over layers and a table with the same numbers; `curves` is that of an artifact."""

    def read(measure: str) -> list[float | None]:
        values = [curves.get(layer, {}).get(measure) for layer in layers]
        return [float(value) if isinstance(value, int | float) else None for value in values]

    accuracy = {name: values for name, key in _ACCURACIES.items() if any(values := read(key))}
    covered = {"measured": read("mean_coverage"), "chance": read("null_mean_coverage")}
    charts = [
        line_chart("Probe accuracy: share of held-out images named right", layers, accuracy, selected, top=1.0),
        line_chart("FVU: share of the variance the SAE leaves unexplained", layers, {"FVU": read("fvu")}, selected),
        line_chart("L0: features active per image", layers, {"L0": read("l0")}, selected),
        line_chart("Dead: share of features that fire on no held-out image", layers, {"dead": read("dead")}, selected),
        line_chart("Coverage: mean of features of 2+ classes, and by chance", layers, covered, selected),
        line_chart("Features that beat chance", layers, {"features": read("n_significant")}, selected),
    ]
    error = {"the layer's variance": read("var"), "what the SAE misses of it": read("mse")}
    charts.append(log_chart("Variance per dimension, and squared error (logarithmic)", layers, error, selected))
    numbers = _table(layers, {key: read(key) for key in _COLUMNS}, selected)
    return f'<h3>All held-out photos</h3>{_INTRO}<div class="hsae-charts">{"".join(charts)}</div>{numbers}'


def _table(layers: Sequence[str], measures: Mapping[str, Sequence[float | None]], selected: str) -> str:
    kept = {key: values for key, values in measures.items() if any(value is not None for value in values)}
    rows = [
        [button(short_layer(layer), ("layer", layer), pressed=layer == selected)]
        + [(percent if key in _SHARES else number)(values[at]) for key, values in kept.items()]
        for at, layer in enumerate(layers)
    ]
    heads = ["layer", *(LAYER_NUMBERS[key] for key in kept)]
    return "<h3>All numbers of the layers</h3>" + table(
        "Measures by layer, on held-out images", heads, rows, current=list(layers).index(selected)
    )
