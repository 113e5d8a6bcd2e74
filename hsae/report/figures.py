"""Figures of a finished run, each as PNG and as the CSV it shows.

Figure 1 and figure 2 show what those of Olson et al. (arXiv 2505.15970) show, each beside its reference: the variance
beside the error, and the null beside the density.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, lch_rows
from hsae.report.figure_files import panels, write_figure, write_small_figure
from hsae.report.sparsity_figures import firing_figure, lifetime_figure, sparsity_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COVERAGE_BINS = np.linspace(0, 1, 21)
HEIGHT_BANDS = ("single classes", "height 1 to 3", "height 4 to 8", "height 9 and up")
NODE_MEASURES = {
    "ap_gain": "best latent",
    "chance": "best under permuted labels",
    "probe_ap_gain": "linear probe on x",
    "f1": "F1 of the best latent",  # these three in documents from before the gain
    "floor": "F1 under shuffled synsets",
    "probe_f1": "F1 of a linear probe",
}
Curves = Mapping[str, Mapping[str, Any]]
Latents = Mapping[str, pd.DataFrame]


def write_figures(
    folder: Path,
    curves: Curves,
    latents: Latents,
    tree: Mapping[str, Any],
    taxonomy: Taxonomy | None,
    small: bool = False,
) -> list[Path]:
    """Write every figure of an artifact's curves, latent tables and tree to `folder`; returns the PNG files.

    taxonomy: None for an artifact without classes, of which there are fewer. small: for a page such as a README,
    without the tables and each under 150 kB.
    """
    if not curves or set(curves) != set(latents):
        raise InputError(f"curves of {sorted(curves)}, latents of {sorted(latents)}", "the same layers, at least one")
    figures = {"layers": layers_figure(curves)}
    if taxonomy is not None:
        figures |= {"hierarchy": hierarchy_figure(latents, taxonomy), "emergence": emergence_figure(tree)}
    figures |= {"sparsity": sparsity_figure(latents), "lifetime": lifetime_figure(latents)}
    if any("firing" in row for row in curves.values()):
        figures["firing"] = firing_figure(curves)
    if small:
        return [write_small_figure(folder, name, figure) for name, (figure, _) in figures.items()]
    return [write_figure(folder, name, figure, table) for name, (figure, table) in figures.items()]


_ACCURACIES = {
    "acc1_x": "x",
    "acc1_x_hat": "reconstruction, refitted",
    "acc1_x_on_x_hat": "reconstruction, probe of x",
    "acc1_z": "z, refitted",
}


def layers_figure(curves: Curves) -> tuple[Figure, pd.DataFrame]:
    """Figure 1: probe accuracy on x, x_hat and z; FVU; mse with variance; L0, by layer."""
    table = pd.DataFrame({name: _numbers(row) for name, row in curves.items()}).T.rename_axis("layer")
    figure, axes = panels(2, 2)
    _lines(axes[0], table, _ACCURACIES, "probe accuracy (top 1)")
    _lines(axes[1], table, {"fvu": "SAE"}, "fraction of variance unexplained")
    axes[1].axhline(1, color="grey", linestyle=":", label="always the mean")
    axes[1].legend(loc="upper right")
    _lines(axes[2], table, {"mse": "error", "var": "variance (always the mean)"}, "squared units of x, per dimension")
    axes[2].set_yscale("log")
    _lines(axes[3], table, {"l0": "L0"}, "active latents per token")
    return figure, table


def hierarchy_figure(latents: Latents, taxonomy: Taxonomy) -> tuple[Figure, pd.DataFrame]:
    """Figure 2: density of multi-class latents over LCH height and coverage, all layers on one logarithmic scale.

    Contours: the density expected of random class sets of the same sizes.
    """
    from matplotlib.colors import LogNorm

    multi = {name: frame[frame.n_classes > 1] for name, frame in latents.items()}
    heights = np.arange(-0.5, taxonomy.heights.max() + 1.5)
    columns = min(4, len(multi))
    figure, axes = panels(-(-len(multi) // columns), columns)
    counts = {n: np.histogram2d(f.lch_height, f.coverage, (heights, COVERAGE_BINS))[0] for n, f in multi.items()}
    norm = LogNorm(1, max(2, max(c.max() for c in counts.values())))
    for axis, (name, count) in zip(axes, counts.items(), strict=False):
        mesh = axis.pcolormesh(heights, COVERAGE_BINS, np.ma.masked_equal(count.T, 0), norm=norm, cmap="viridis_r")
        _null_contours(axis, random_density(taxonomy, multi[name].n_classes.to_numpy(), heights), heights)
        axis.set(title=f"{name}: {len(multi[name])} latents", xlabel="LCH height", ylabel="coverage")
    figure.colorbar(mesh, ax=axes, label="latents (red contours: 0.1, 1, 10 ... expected of random class sets)")
    shown = ["n_classes", "lch", "lch_height", "coverage", "p_value", "q_value", "best_node", "best_node_f1"]
    parts = [frame[shown].assign(layer=name, latent=frame.index) for name, frame in latents.items()]
    return figure, pd.concat(parts).set_index(["layer", "latent"])


def emergence_figure(tree: Mapping[str, Any]) -> tuple[Figure, pd.DataFrame]:
    """AP gain of the best latent per WordNet node by layer, in bands of height, beside chance and a linear probe."""
    nodes = pd.DataFrame(tree.get("nodes", []), columns=["node", "height", "leaf_count"])
    scores = tree.get("node_scores", {})
    measures = [(layer, m, values[m]) for layer, values in scores.items() for m in NODE_MEASURES if m in values]
    parts = [nodes.assign(layer=layer, measure=m, value=np.array(v, dtype=float)) for layer, m, v in measures]
    table = pd.concat(parts, ignore_index=True) if parts else nodes.assign(layer=[], measure=[], value=[])
    figure, axes = panels(1, len(HEIGHT_BANDS))
    bands = pd.cut(table.height, [-1, 0, 3, 8, 99], labels=HEIGHT_BANDS)
    for axis, (name, group) in zip(axes, table.groupby(bands, observed=False), strict=True):
        means = group.pivot_table("value", "layer", "measure", observed=False) if len(group) else pd.DataFrame()
        _lines(axis, means, {m: label for m, label in NODE_MEASURES.items() if m in means}, f"mean AP gain, {name}")
        axis.set_ylim(0, 1)
    return figure, table.set_index(["node", "layer", "measure"])


def _numbers(row: Mapping[str, Any]) -> dict[str, float]:
    return {key: np.nan if value is None else value for key, value in row.items() if not isinstance(value, Mapping)}


def _lines(axis: Axes, table: pd.DataFrame, columns: Mapping[str, str], title: str) -> None:
    columns = {column: label for column, label in columns.items() if column in table}
    for column, label in columns.items():
        axis.plot(range(len(table)), table[column].astype(float), marker="o", markersize=3, label=label)
    axis.set_xticks(range(len(table)), [str(name).removeprefix("block_") for name in table.index], fontsize=7)
    axis.set(title=title, xlabel="layer")
    if columns:
        axis.legend(fontsize=7, loc="upper right")


def random_density(taxonomy: Taxonomy, sizes: np.ndarray, heights: np.ndarray, draws: int = 50) -> np.ndarray:
    """Expected count of latents by height and coverage if each had a random set of its size; sums to len(sizes)."""
    random = np.random.default_rng(0)
    density = np.zeros((len(heights) - 1, len(COVERAGE_BINS) - 1))
    for _ in range(draws):
        order = random.random((len(sizes), len(taxonomy.classes))).argsort(axis=1)
        lch = lch_rows(taxonomy, order < sizes[:, None])
        coverage = sizes / taxonomy.leaf_counts[lch]
        density += np.histogram2d(taxonomy.heights[lch], coverage, (heights, COVERAGE_BINS))[0] / draws
    return density


def _null_contours(axis: Axes, density: np.ndarray, heights: np.ndarray) -> None:
    middle = (COVERAGE_BINS[:-1] + COVERAGE_BINS[1:]) / 2
    levels = [level for level in (0.1, 1, 10, 100) if density.min() < level < density.max()]
    if levels:
        axis.contour((heights[:-1] + heights[1:]) / 2, middle, density.T, levels, colors="red", linewidths=0.8)
