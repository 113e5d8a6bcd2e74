"""One figure: how hierarchical a layer is against what an SAE makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd

from hsae.measures.wordnet.consistency import PRIMARY
from hsae.report.figure_files import panels

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def consistency_figure(layers: pd.DataFrame) -> tuple[Figure, pd.DataFrame]:
    """Left: PRIMARY by layer of each model, and its null; right: its gain against R, where SAEs were scored."""
    layers = layers if "R" in layers else layers.assign(R=float("nan"))
    scored = layers.dropna(subset=["R"])
    figure, axes = panels(1, 2)
    for model, part in layers.groupby("model", sort=False):
        depth = [i / max(1, len(part) - 1) for i in range(len(part))]
        (line,) = axes[0].plot(depth, part[PRIMARY], marker="o", markersize=4, label=str(model))
        axes[0].plot(depth, part[f"{PRIMARY}_null"], ":", color=line.get_color(), linewidth=1)
        here = scored[scored.model == model]
        axes[1].scatter(here[f"{PRIMARY}_gain"], here.R, color=line.get_color(), s=24)
        for _, row in here.iterrows():
            axes[1].annotate(str(row.layer), (row[f"{PRIMARY}_gain"], row.R), fontsize=5, alpha=0.8)
    axes[0].set(xlabel="layers measured, first to last", ylabel="cophenetic correlation (dotted: chance)")
    axes[1].set(xlabel="cophenetic correlation above chance", ylabel="R of the SAE")
    axes[0].legend(fontsize=6)
    return figure, layers[["model", "layer", PRIMARY, f"{PRIMARY}_null", "R"]]
