"""Figures of how often latents fire: against how strongly, as a histogram, and on which images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hsae.report.figure_files import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = np.logspace(-5, 0, 26)


def sparsity_figure(latents: Mapping[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Mean activation against frequency of the latents that fire, coloured by label entropy if images have labels."""
    columns = min(4, len(latents))
    figure, axes = panels(-(-len(latents) // columns), columns)
    living = {name: frame[~frame.dead] for name, frame in latents.items()}
    labelled = any(frame.label_entropy.notna().any() for frame in latents.values())
    highest = max((f.label_entropy.max() for f in living.values() if len(f)), default=1)
    for axis, (name, frame) in zip(axes, living.items(), strict=False):
        colour = {"c": frame.label_entropy, "vmin": 0, "vmax": highest, "cmap": "viridis"} if labelled else {}
        dots = axis.scatter(frame.frequency, frame["mean"], s=4, plotnonfinite=True, **colour)
        scale = "log" if len(frame) else "linear"  # a layer without living latents has no positive values
        axis.set(title=name, xscale=scale, yscale=scale, xlabel="frequency", ylabel="mean activation where it fires")
    if labelled:
        figure.colorbar(dots, ax=axes, label="label entropy (nats)")
    shown = ["frequency", "mean", "label_entropy"]
    parts = [frame[shown].assign(layer=name, latent=frame.index) for name, frame in living.items()]
    return figure, pd.concat(parts).set_index(["layer", "latent"])


def lifetime_figure(latents: Mapping[str, pd.DataFrame]) -> tuple[Figure, pd.DataFrame]:
    """Histogram of the share of tokens on which each latent fires, by layer; dead units are counted in the title."""
    columns = min(4, len(latents))
    figure, axes = panels(-(-len(latents) // columns), columns)
    rows = {}
    for axis, (name, frame) in zip(axes, latents.items(), strict=False):
        frequency = frame.frequency.to_numpy(float)
        counts = np.histogram(np.maximum(frequency[frequency > 0], _BINS[0]), _BINS)[0]
        rows[name] = {"dead": int((frequency == 0).sum())} | dict(zip(_BINS[:-1].round(7), counts, strict=True))
        axis.stairs(counts, _BINS, fill=True)
        dead = f"{name}: {rows[name]['dead']} of {len(frame)} dead"
        axis.set(xscale="log", title=dead, xlabel="lifetime sparsity: share of tokens", ylabel="latents")
    return figure, pd.DataFrame(rows).T.rename_axis("layer")


def firing_figure(curves: Mapping[str, Mapping[str, Any]]) -> tuple[Figure, pd.DataFrame]:
    """Latents by images: the share of each band of images that a band of latents fires on, dead latents as empty rows.

    Of the layers that have a `firing_map` (`hsae.measures.sparsity`).
    """
    from matplotlib.colors import LogNorm

    maps = {name: np.array(row["firing"]["map"]) for name, row in curves.items() if "firing" in row}
    columns = max(1, min(4, len(maps)))
    figure, axes = panels(max(1, -(-len(maps) // columns)), columns)
    for axis, (name, shares) in zip(axes, maps.items(), strict=False):
        seen = np.ma.masked_equal(shares, 0)  # what is white never fires
        mesh = axis.pcolormesh(seen, norm=LogNorm(1e-4, 1), cmap="viridis_r")
        axis.invert_yaxis()
        axis.set(title=name, xlabel="band of images", ylabel="band of latents, rarest last")
    if maps:
        figure.colorbar(mesh, ax=axes, label="share that fires (white: never)")
    parts = [pd.DataFrame(shares).rename_axis("band").assign(layer=name).reset_index() for name, shares in maps.items()]
    table = pd.concat(parts) if parts else pd.DataFrame({"layer": [], "band": []})
    return figure, table.set_index(["layer", "band"])
