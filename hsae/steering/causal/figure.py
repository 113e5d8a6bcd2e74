"""The causal test as a figure: how a push spreads over WordNet, and the subtree's advantage by layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NAMES = {
    "feature": "the feature",
    "random": "random direction",
    "other": "another feature",
    "frozen": "best random direction",
    "mean": "mean of the node",
    "probe": "probe for the node",
}
_BANDS = {"inside": (0, 0), "1-2": (1, 2), "3-5": (3, 5), "6-9": (6, 9), "10+": (10, 99)}


def causal_figure(document: Mapping[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """Mean change of logit by distance from the node for every layer of the document, and the advantage over siblings.

    The table has one row per layer, value, latent, condition and distance.
    """
    from matplotlib.figure import Figure

    table, layers = profile_table(document), list(document["layers"])
    figure = Figure(figsize=(3.2 * (len(layers) + 1), 5.6), layout="constrained")
    axes = figure.subplots(2, len(layers) + 1, squeeze=False)
    for row, value in zip(axes, ("set", "off"), strict=True):
        for axis, layer in zip(row, layers, strict=False):
            _profile(axis, table[(table.layer == layer) & (table.value == value)])
            axis.set(title=f"{layer}, {value}", xlabel="distance in WordNet", ylabel="change of logit")
        _advantage(row[-1], value, {layer: document["layers"][layer]["summary"][value] for layer in layers})
    axes[0, 0].legend(fontsize=7, loc="upper right")
    return figure, table


def profile_table(document: Mapping[str, Any]) -> pd.DataFrame:
    """Every profile of the document: layer, value, latent, condition, distance, n_classes, probability, logit."""
    rows = [
        {"layer": layer, "value": value, "latent": feature["latent"], "condition": condition} | ring
        for layer, part in document["layers"].items()
        for feature in part["features"]
        for value in ("set", "off")
        if value in feature
        for condition, rings in feature[value]["profile"].items()
        for ring in rings
    ]
    columns = ["layer", "value", "latent", "condition", "distance", "n_classes", "probability", "logit"]
    return pd.DataFrame(rows, columns=columns)


def _profile(axis: Axes, table: pd.DataFrame) -> None:
    """Mean over features of the mean change of logit in each band of distance, seen from the mean of all classes."""
    table = table.assign(sum=table.logit * table.n_classes)
    for condition, name in _NAMES.items():
        part = table[table.condition == condition].groupby("latent")
        level = part["sum"].sum() / part["n_classes"].sum()
        means = []
        for low, high in _BANDS.values():
            ring = table[(table.condition == condition) & table.distance.between(low, high)].groupby("latent")
            means.append((ring["sum"].sum() / ring["n_classes"].sum() - level).mean())
        if len(part):
            axis.plot(list(_BANDS), means, marker="o", markersize=3, label=name)
    axis.axhline(0, color="grey", linewidth=0.6)


def _advantage(axis: Axes, value: str, summaries: Mapping[str, Any]) -> None:
    for number, (condition, name) in enumerate(_NAMES.items()):
        for at, summary in enumerate(summaries.values()):
            interval = summary.get("measures", {}).get("advantage", {}).get(condition)
            if interval and interval["mean"] is not None:
                spread = [[interval["mean"] - interval["low"]], [interval["high"] - interval["mean"]]]
                color, shift = f"C{number}", 0.12 * (number - 2.5)
                axis.errorbar(at + shift, interval["mean"], spread, fmt="o", markersize=4, color=color, label=name)
    axis.axhline(0, color="grey", linewidth=0.6)
    axis.set_xticks(range(len(summaries)), [str(layer).removeprefix("block_") for layer in summaries])
    axis.set(title=f"subtree minus siblings, {value}", xlabel="layer", ylabel="change of logit")
