"""A comparison as one figure and one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from hsae.atomic import atomic_path
from hsae.comparison.layer_pair import MAIN, SHUFFLED, WITHIN
from hsae.comparison.models import Comparison
from hsae.comparison.tables import CONCEPT_F1, concepts, height_table, pair_numbers, side_by_side
from hsae.report.figure_files import panels, write_figure

BANDS = ["0", "1", "2-3", "4-6", "7 and up"]
"""Heights that are drawn together, as few nodes are high."""

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def write_comparison(folder: Path, comparison: Comparison) -> list[Path]:
    """Write comparison.png with comparison.csv, and comparison_models.csv, to `folder`; returns the first and last."""
    with atomic_path(folder / "comparison_models.csv") as temporary:
        side_by_side(comparison).to_csv(temporary, index=False)
    figure = write_figure(folder, "comparison", *comparison_figure(comparison))
    return [figure, folder / "comparison_models.csv"]


def comparison_figure(comparison: Comparison) -> tuple[Figure, pd.DataFrame]:
    """Partners by layer pair, R^2 of a linear map by layer pair, partners by height, and concepts by height.

    The table has one row per pair of layers, with every number and its chance level.
    """
    table = pair_table(comparison)
    figure, axes = panels(2, 2)
    names = f"A: {comparison.a.name}", f"B: {comparison.b.name}"
    share = _grid(table, f"{MAIN}.partner")
    _heatmap(axes[0], 100 * share, names, "% of A's latents with a partner in B's layer (chance: 1)")
    if "r2.median" in table:
        _heatmap(axes[1], _grid(table, "r2.median"), names, "B's latents by a linear map of A's: median R²", ".2f")
    else:
        back = 100 * _grid(table, f"{MAIN}.partner_back")
        _heatmap(axes[1], back, names, "% of B's latents with a partner in A's layer (chance: 1)")
    _heights(axes[2], comparison, names)
    _concepts(axes[3], comparison, names)
    return figure, table


def pair_table(comparison: Comparison) -> pd.DataFrame:
    """Every number of every pair of layers, nested names joined by dots; index a, b."""
    pairs = list(comparison.pairs)
    table = pd.json_normalize([pair_numbers(comparison, *pair) for pair in pairs])
    return table.set_index(pd.MultiIndex.from_tuples(pairs, names=["a", "b"]))


def _grid(table: pd.DataFrame, column: str) -> pd.DataFrame:
    """Rows: layers of A; columns: layers of B; in model order."""
    grid = table[column].astype(float).unstack("b")
    return grid.loc[table.index.unique("a"), table.index.unique("b")]


def _heatmap(axis: Axes, grid: pd.DataFrame, names: tuple[str, str], title: str, form: str = ".0f") -> None:
    """A grid with its numbers; cells without a number stay empty."""
    numbers = grid.to_numpy()[grid.notna()]
    middle = (numbers.min() + numbers.max()) / 2 if len(numbers) else 0
    axis.imshow(grid, aspect="auto", cmap="viridis")
    for row, column in zip(*np.nonzero(grid.notna()), strict=True):
        value = grid.iat[row, column]
        colour = "black" if value > middle else "white"
        axis.text(column, row, f"{value:{form}}", ha="center", va="center", fontsize=6, color=colour)
    axis.set_xticks(range(grid.shape[1]), grid.columns, fontsize=7, rotation=30)
    axis.set_yticks(range(grid.shape[0]), grid.index, fontsize=7)
    axis.set_title(title, fontsize=9)
    axis.set(xlabel=names[1], ylabel=names[0])


def _heights(axis: Axes, comparison: Comparison, names: tuple[str, str]) -> None:
    """Share of latents with a partner anywhere, by the height of their best node, with both chance levels."""
    for name, side, colour in zip(names, (comparison, comparison.reversed), ("C0", "C1"), strict=True):
        table = height_table(side)
        counts = table.drop(columns="height").mul(table.n, axis=0).assign(n=table.n)
        bands = counts.groupby(_bands(table.height), observed=False).sum()
        share = 100 * bands.div(bands.n.where(bands.n > 0), axis=0)
        axis.plot(BANDS, share.share, marker="o", markersize=4, color=colour, label=name)
        if WITHIN in table:
            axis.plot(BANDS, share[WITHIN], linestyle="--", color=colour, label="shuffled within classes")
        axis.plot(BANDS, share.chance, linestyle=":", color=colour, label=SHUFFLED)
    axis.set_ylim(0, 100)
    axis.set_title("% of latents with a partner in any layer of the other", fontsize=9)
    axis.set(xlabel="height of the latent's best WordNet node")
    axis.legend(fontsize=6, loc="upper right")


def _concepts(axis: Axes, comparison: Comparison, names: tuple[str, str]) -> None:
    """Share of WordNet nodes, among those either has a latent for, that both have or only one, by height."""
    table = concepts(comparison)
    a, b = table.a_f1.notna(), table.b_f1.notna()
    kinds = {"both": a & b, f"only {names[0]}": a & ~b, f"only {names[1]}": b & ~a}
    counts = pd.DataFrame(
        {name: chosen.groupby(_bands(table.height), observed=False).sum() for name, chosen in kinds.items()}
    )
    shares = 100 * counts.div(counts.sum(axis=1).clip(lower=1), axis=0)
    bottom = np.zeros(len(BANDS))
    for name in kinds:
        bars = axis.bar(BANDS, shares[name], bottom=bottom, label=f"{name}: {counts[name].sum()}")
        axis.bar_label(bars, [str(n) if n else "" for n in counts[name]], label_type="center", fontsize=7)
        bottom += shares[name].to_numpy()
    axis.set_title(f"% of the WordNet nodes with a latent of F1 ≥ {CONCEPT_F1}", fontsize=9)
    axis.set(xlabel="height of the node")
    axis.legend(fontsize=6, loc="upper right")


def _bands(height: pd.Series) -> pd.Categorical:
    return pd.cut(height, [-1, 0, 1, 3, 6, 99], labels=BANDS)
