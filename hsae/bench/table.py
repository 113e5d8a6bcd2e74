"""The table of a benchmark: a line for every row, with the recovery R and how far the L0 is from its target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from hsae.bench.images import ALL
from hsae.bench.rows import Row, Rows
from hsae.measures.stability import partners, same_name
from hsae.measures.wordnet.scoreboard import recovery

TOLERANCE = 0.1
"""Share of its target by which an L0 may differ."""
SHOWN = (
    "layer", "name", "n", "target", "seed", "l0", "off_target", "fvu", "dead", "R", "R_low", "R_high", "node_ap",
    "node_ap_h0", "node_ap_h1_3", "node_ap_h4", "owned_30", "owned_40", "owned_50", "nodes_40", "sparse_1", "sparse_5",
    "n_named", "median_precision", "said", "first_true", "first_bits", "best_bits", "purity", "acc_x", "acc_x_hat",
    "acc_unchanged", "stable", "same_name",
)  # fmt: skip
"""Columns of the Markdown table; the CSV has all."""
ZERO, ONE = "random", "probes"
"""Baselines whose NodeAP is R = 0, at the same number of directions, and R = 1."""


def table(rows: Sequence[Row], store: Rows | None = None) -> pd.DataFrame:
    """One line a row; with the `store` of their decoders also how stable they are over seeds.

    R and its interval are missing where the grid has no random directions or no probes. The interval is that of
    resampled test images, on which both baselines are scored again, around R.
    """
    lines = []
    for row in rows:
        entry, numbers = row.entry, row.numbers
        target, l0 = entry["l0"], numbers.get("l0")
        off = l0 is not None and target and abs(l0 / target - 1) > TOLERANCE
        line: dict[str, Any] = {"layer": entry["layer"], "name": entry["name"], "seed": entry["seed"]}
        line |= {
            "name_and_width": f"{entry['name']}, {numbers['n']}",
            "target": target,
            "off_target": "yes" if off else "",
        }
        lines.append(line | numbers | _recoveries(row, rows) | (_stability(row, rows, store) if store else {}))
    return pd.DataFrame(lines)


def markdown(frame: pd.DataFrame, parts: Sequence[str]) -> str:
    """The columns of SHOWN as a Markdown table, and for every part of the test images a few of its own."""
    own = [
        f"{part}.{name}" for part in parts for name in ("R", "node_ap", "owned_40", "median_precision", "first_bits")
    ]
    columns = [name for name in (*SHOWN, *own) if name in frame]
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in frame[columns].itertuples(index=False):
        lines.append("| " + " | ".join(_cell(value) for value in row) + " |")
    return "\n".join(lines) + "\n"


def _recoveries(row: Row, rows: Sequence[Row]) -> dict[str, float | None]:
    """R on each part of the test images, and its 95 % interval on all of them."""
    zero = _baseline(rows, row, ZERO)
    one = _baseline(rows, row, ONE)
    if zero is None or one is None:
        return {}
    found: dict[str, float | None] = {}
    for part in row.draws:
        name = "" if part == ALL else f"{part}."
        own, low, high = (each.numbers[f"{name}node_ap"] for each in (row, zero, one))
        found[f"{name}R"] = None if own is None else recovery(own, low, high)
    drawn, bottom, top = (np.array(each.draws[ALL]) for each in (row, zero, one))
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (drawn - bottom) / (top - bottom)
    low, high = np.nanquantile(spread, [0.025, 0.975]) - np.nanmean(spread)  # images drawn twice raise every AP
    if (R := found["R"]) is not None:
        found["R_low"], found["R_high"] = R + float(low), R + float(high)
    return found


def _stability(row: Row, rows: Sequence[Row], store: Rows) -> dict[str, float | None]:
    """How many latents, and names, the same SAE has when it is trained with the next seed."""
    asked = row.entry | {"seed": None}
    seeds = {each.entry["seed"]: each for each in rows if each.entry | {"seed": None} == asked}
    later = sorted(seed for seed in seeds if seed > row.entry["seed"])
    if row.entry["sae"] is None or not later:
        return {}
    other = seeds[later[0]]
    found = partners(store.decoder(row), store.decoder(other))
    names = (np.array(each.names, dtype=object) for each in (row, other))
    return {"stable": found.stable, "same_name": same_name(found, *names)}


def _baseline(rows: Sequence[Row], row: Row, name: str) -> Row | None:
    """The baseline on the same layer, at the number of directions nearest to the row's, of the first seed."""
    there = [each for each in rows if each.entry["name"] == name and each.entry["layer"] == row.entry["layer"]]
    return min(there, key=lambda each: abs(each.numbers["n"] - row.numbers["n"]), default=None)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
