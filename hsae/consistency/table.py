"""The layers of all models in one table, and the models in another."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from hsae.measures.wordnet.consistency import PRIMARY, SMALLER

MEASURES = {
    "cophenetic_height": "cophenetic, height",
    "cophenetic_path": "cophenetic, path",
    "neighbours": "neighbours MAP",
    "severity": "severity of mistakes",
    "full_path": "full path",
    "inconsistency": "inconsistency",
    "parent_cosine": "parent cosine",
}
"""Words for the columns of every measure of consistency."""
OUTCOMES = {
    "R": "R",
    "owned_40": "Owned@.4",
    "tree_precision": "edge precision",
    "steered": "dials that hold",
}
"""What an SAE makes of a layer."""


def layer_table(layers: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    """One line a layer, with a column MEASURE_gain beside each measure: by how much it is better than its null."""
    frame = pd.DataFrame(list(layers))
    for name in MEASURES:
        sign = -1 if name in SMALLER else 1
        frame[f"{name}_gain"] = sign * (frame[name].astype(float) - frame[f"{name}_null"].astype(float))
    return frame


def model_table(layers: pd.DataFrame) -> pd.DataFrame:
    """One line a model: its best layer by the gain of PRIMARY, with all its numbers, and the mean gain over layers."""
    gain = layers[f"{PRIMARY}_gain"].fillna(-1)
    best = layers.loc[gain.groupby(layers.model, sort=False).idxmax()].set_index("model")
    own = layers.groupby("model", sort=False)
    best.insert(1, "n_layers", own.size())
    best.insert(2, "mean_gain", own[f"{PRIMARY}_gain"].mean())
    return best.reset_index()


def markdown(frame: pd.DataFrame) -> str:
    """Every measure as `value (null)`, and what SAEs make of the layer."""
    shown = frame[["model", "layer"]].copy()
    for name, words in {"n_layers": "layers", "mean_gain": "mean gain over layers", "accuracy": "accuracy"}.items():
        if name in frame:
            shown[words] = [_cell(value) for value in frame[name]]
    for name, words in MEASURES.items():
        shown[words] = [f"{_cell(a)} ({_cell(b)})" for a, b in zip(frame[name], frame[f"{name}_null"], strict=True)]
    for name, words in OUTCOMES.items():
        if name in frame and frame[name].notna().any():
            shown[words] = [_cell(value) for value in frame[name]]
    rows = [list(shown.columns), ["---"] * shown.shape[1], *shown.to_numpy().tolist()]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows) + "\n"


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, int) or (float(value).is_integer() and abs(value) > 1):
        return str(int(value))
    return f"{round(value, 2) + 0.0:.2f}"  # no minus before a zero
