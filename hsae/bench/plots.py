"""Plots of a benchmark: the recovery against what it costs, and by layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hsae.bench.baselines import BASELINES
from hsae.report.figure_files import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def tradeoff_figure(frame: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Plot A: R against L0 and against FVU, one line a variant, mean over seeds; a row of panels for each layer.

    The legend has the mean height of each line over the range that all lines of the panel share.
    """
    saes = frame[frame.target.notna()].assign(line=lambda f: f.name_and_width)
    means = saes.groupby(["layer", "line", "target"], as_index=False)[["R", "l0", "fvu"]].mean()
    layers = list(dict.fromkeys(saes.layer))
    figure, axes = panels(max(1, len(layers)), 2)
    for row, layer in enumerate(layers):
        here = means[means.layer == layer]
        for axis, (x, scale) in zip(axes[2 * row :], {"l0": "log", "fvu": "linear"}.items(), strict=False):
            lines = {line: part.sort_values(x) for line, part in here.groupby("line", sort=False)}
            heights = common_heights([(part[x].to_numpy(), part.R.to_numpy()) for part in lines.values()])
            for (line, part), height in zip(lines.items(), heights, strict=True):
                label = line if np.isnan(height) else f"{line}: {height:.2f}"
                axis.plot(part[x], part.R, marker="o", markersize=3, label=label)
            axis.set(title=layer, xlabel=x.upper(), ylabel="R", xscale=scale)
            if len(lines):
                axis.legend(fontsize=6, loc="upper right")
    return figure, means.set_index(["layer", "line", "target"])


def layers_figure(frame: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Plot B: R by layer of the best setting of each variant, and of the baselines."""
    frame = frame.assign(line=frame.name.where(frame.target.isna(), frame.name_and_width))
    best = frame.groupby(["line", "layer"], sort=False).R.max().unstack("layer")
    best = best[[layer for layer in dict.fromkeys(frame.layer) if layer in best]]
    figure, axes = panels(1, 1)
    for line, values in best.iterrows():
        style = "--" if line in BASELINES else "-"
        axes[0].plot(range(len(values)), values, marker="o", markersize=3, linestyle=style, label=str(line))
    axes[0].set_xticks(range(best.shape[1]), [str(name) for name in best.columns], fontsize=7)
    axes[0].set(xlabel="layer", ylabel="R", title="best R of each variant")
    axes[0].legend(fontsize=6, loc="upper right")
    return figure, best


def common_heights(lines: Sequence[tuple[np.ndarray, np.ndarray]]) -> list[float]:
    """Mean height of each line (x rising, y) over the range of x that all lines with two points share, by trapezoids.

    NaN for a line of one point, and for all where there is no such range.
    """
    long = [(x, y) for x, y in lines if len(x) > 1]
    low, high = max((x[0] for x, _ in long), default=0), min((x[-1] for x, _ in long), default=0)
    if not low < high:
        return [np.nan] * len(lines)
    return [_height(x, y, low, high) if len(x) > 1 else np.nan for x, y in lines]


def _height(x: np.ndarray, y: np.ndarray, low: float, high: float) -> float:
    inner = x[(x > low) & (x < high)]
    at = np.concatenate([[low], inner, [high]])
    return float(np.trapezoid(np.interp(at, x, y), at) / (high - low))
