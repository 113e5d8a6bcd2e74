"""Do SAEs make more of layers that are more hierarchical? Rank correlations over layers, with models resampled."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hsae.consistency.table import MEASURES, OUTCOMES
from hsae.measures.statistics import spearman
from hsae.measures.wordnet.consistency import PRIMARY

DRAWS = 500
LEAST = 3
"""Models from which on there is an interval."""


def correlation_table(layers: pd.DataFrame) -> pd.DataFrame:
    """Spearman correlation of the gain of every measure with every outcome over the layers that have both.

    Columns measure, outcome, rho, low, high, n_layers, n_models. low and high: 95 % interval over draws of models with
    all their layers, since the layers of a model are no independent cases; missing below three models.
    """
    lines = []
    for measure in ("accuracy", *(f"{name}_gain" for name in MEASURES)):
        for outcome in (name for name in OUTCOMES if name in layers):
            both = layers[["model", measure, outcome]].dropna().astype({measure: float, outcome: float})
            rho = spearman(both[measure].to_numpy(), both[outcome].to_numpy())
            if rho is not None:
                low, high = _interval(both, measure, outcome)
                n = {"n_layers": len(both), "n_models": both.model.nunique()}
                name = measure.removesuffix("_gain")
                lines.append({"measure": name, "outcome": outcome, "rho": rho, "low": low, "high": high} | n)
    return pd.DataFrame(lines, columns=["measure", "outcome", "rho", "low", "high", "n_layers", "n_models"])


def _interval(both: pd.DataFrame, measure: str, outcome: str, seed: int = 0) -> tuple[float, float]:
    parts = [part[[measure, outcome]].to_numpy() for _, part in both.groupby("model")]
    if len(parts) < LEAST:
        return np.nan, np.nan
    random = np.random.default_rng(seed)
    draws = (np.concatenate([parts[i] for i in random.integers(len(parts), size=len(parts))]) for _ in range(DRAWS))
    found = [rho for rho in (spearman(*draw.T) for draw in draws) if rho is not None]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def conclude(correlations: pd.DataFrame, best: pd.DataFrame) -> str:
    """What may be said of the models, and of PRIMARY with R; best: `table.model_table`."""
    first = best.loc[best[f"{PRIMARY}_gain"].idxmax()]
    said = [
        f"By the correlation of class distances with WordNet heights, {first.model} is the most hierarchical of "
        f"{len(best)} models ({first[PRIMARY]:.2f} at {first.layer}, {first[f'{PRIMARY}_gain']:.2f} above chance)."
    ]
    rows = correlations[(correlations.measure == PRIMARY) & (correlations.outcome == "R")]
    if not len(rows):
        return " ".join([*said, "Too few layers have an SAE that was scored to say what SAEs make of that."])
    row = rows.iloc[0]
    over = f"over {row.n_layers} layers of {row.n_models} models"
    said.append(f"Its rank correlation with the recovery R of SAEs is {row.rho:.2f} {over}{_doubt(row)}")
    said.append(
        "Layers of one model are not independent, and models differ in data, size and architecture at once: "
        "so many models show whether the two go together, not whether one makes the other."
    )
    return " ".join(said)


def _doubt(row: pd.Series) -> str:
    """How sure it is."""
    if np.isnan(row.low):
        return ": too few models for an interval."
    shown = "they go together in these models" if row.low > 0 else "they go against each other in these models"
    verdict = "no connection is shown" if row.low <= 0 <= row.high else shown
    return f" (95 % interval {row.low:.2f} to {row.high:.2f}, models resampled): {verdict}."
