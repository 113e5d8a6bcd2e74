"""Scores of many maps summarised: one row per method, and one per latent."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from hsae.measures.plain import rounded


def removal_table(removals: pd.DataFrame) -> pd.DataFrame:
    """One row per method and baseline: sums of areas over sums of |lost|, best gap first.

    removals: rows of `Removal`. Columns: method, baseline, deletion, insertion, gap, gap_error (standard error over
    photographs), other_gap, n. A ratio of sums: a photograph on which little is lost weighs little.
    """
    rows = []
    for (method, baseline), part in removals.groupby(["method", "baseline"], sort=False):
        whole = part["lost"].abs()
        gap, error = _ratio_of_sums(part["insertion"] - part["deletion"], whole)
        others = {name: _ratio_of_sums(part[name], whole)[0] for name in ("deletion", "insertion", "other_gap")}
        rows.append({"method": method, "baseline": baseline, "gap": gap, "gap_error": error, **others, "n": len(part)})
    return pd.DataFrame(rows).sort_values("gap", ascending=False, kind="stable", ignore_index=True)


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


def _ratio_of_sums(part: pd.Series, whole: pd.Series) -> tuple[float, float]:
    """sum(part) / sum(whole) and its standard error by linearisation; nan where nothing was lost or n is 1."""
    total, n = whole.sum(), len(part)
    if not total:
        return float("nan"), float("nan")
    ratio = part.sum() / total
    spread = np.sqrt(((part - ratio * whole) ** 2).sum() * n / (n - 1)) / total if n > 1 else float("nan")
    return float(ratio), float(spread)
