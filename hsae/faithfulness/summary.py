"""Scores of many maps summarised: one row per method, and one per latent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hsae.measures.plain import rounded

AREAS = ["deletion", "insertion", "gap", "other_gap"]
_DRAWS = 2000


def removal_table(removals: pd.DataFrame) -> pd.DataFrame:
    """One row per method and baseline: sums of areas over sums of |lost|, best gap first.

    removals: rows of `Removal` with the key of their `photo`. Columns: method, baseline, deletion, insertion, gap,
    gap_low and gap_high (95 % bootstrap over photographs, since latents of one photograph share its ups and downs),
    other_gap, n, n_photos. A ratio of sums: a photograph on which little is lost weighs little.
    """
    rows = []
    for (method, baseline), part in removals.groupby(["method", "baseline"], sort=False):
        part = part.assign(gap=part["insertion"] - part["deletion"], whole=part["lost"].abs())
        sums = part.groupby("photo")[[*AREAS, "whole"]].sum()
        ratios = dict(zip(AREAS, _ratios(sums).tolist(), strict=True))
        low, high = _interval(sums[["gap", "whole"]])
        counts = {"n": len(part), "n_photos": len(sums)}
        rows.append({"method": method, "baseline": baseline, **ratios, "gap_low": low, "gap_high": high, **counts})
    return pd.DataFrame(rows).sort_values("gap", ascending=False, kind="stable", ignore_index=True)


def chosen_method(removals: pd.DataFrame, control: str) -> str:
    """The method whose maps fall short the most when they are another latent's: the largest gap - other_gap.

    Under the first of the baselines; `control` is the name of maps by chance, which is never chosen.
    """
    rows = removal_table(removals[removals["baseline"] == removals["baseline"].iloc[0]]).set_index("method")
    return str((rows["gap"] - rows["other_gap"]).drop(control, errors="ignore").idxmax())


def placement_table(placements: pd.DataFrame) -> pd.DataFrame:
    """One row per method: means over the scenes, best pointing first; rows of `Placement`, with the standard error."""
    groups = placements.drop(columns="latent").groupby("method", sort=False)
    table = groups.mean()
    table["pointing_error"] = groups["pointing"].sem()
    table["n"] = groups.size()
    return table.sort_values("pointing", ascending=False, kind="stable").reset_index()


def feature_columns(removals: pd.DataFrame, baseline: str) -> dict[str, Any]:
    """Per latent, rising: {"latent": [...], "lost": [...], "gap": {method: [...]}, "other_gap": {method: [...]}}.

    Over the latent's photographs: lost is the mean, gaps are ratios of sums, None where nothing was lost.
    """
    chosen = removals[removals["baseline"] == baseline]
    chosen = chosen.assign(gap=chosen["insertion"] - chosen["deletion"], whole=chosen["lost"].abs())
    sums = chosen.groupby(["method", "latent"])[["gap", "other_gap", "whole"]].sum()
    whole = sums["whole"].where(sums["whole"] > 0)
    lost = chosen.groupby("latent")["lost"].mean()
    gaps = {
        name: {
            method: rounded((sums[name] / whole).loc[method].reindex(lost.index).to_numpy())
            for method in chosen["method"].unique()
        }
        for name in ("gap", "other_gap")
    }
    return {"latent": lost.index.tolist(), "lost": rounded(lost.to_numpy(), 6), **gaps}


def _ratios(sums: pd.DataFrame) -> np.ndarray:
    """Of all columns but the last to the last, summed over the rows; nan where nothing was lost."""
    total = sums.to_numpy().sum(axis=0)
    return total[:-1] / total[-1] if total[-1] else np.full(len(total) - 1, np.nan)


def _interval(sums: pd.DataFrame) -> tuple[float, float]:
    """95 % bootstrap interval over the rows of the first column's sum over the second's; nan for one row."""
    values, whole = sums.to_numpy().T
    if len(values) < 2 or not whole.any():
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).integers(len(values), size=(_DRAWS, len(values)))
    totals = whole[drawn].sum(axis=1)
    low, high = np.quantile(values[drawn].sum(axis=1)[totals > 0] / totals[totals > 0], [0.025, 0.975])
    return float(low), float(high)
