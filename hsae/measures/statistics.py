"""Is a measure larger than under its controls? Means with bootstrap intervals, and permutation p-values."""

from __future__ import annotations

import numpy as np

DRAWS = 5000


def against_control(own: np.ndarray, control: np.ndarray, seed: int = 0) -> dict[str, float | None]:
    """Mean of the paired differences, its 95 % bootstrap interval, share above 0, and a one-sided sign-flip p-value.

    own, control `[features]`; pairs with a NaN are left out. p = (1 + #{flipped mean >= mean}) / (5000 + 1).
    """
    difference = (own - control)[np.isfinite(own - control)]
    if not len(difference):
        return dict.fromkeys(("difference", "low", "high", "share", "p"))
    random = np.random.default_rng(seed)
    means = difference[random.integers(len(difference), size=(DRAWS, len(difference)))].mean(axis=1)
    flipped = (random.choice([-1.0, 1.0], size=(DRAWS, len(difference))) * difference).mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return {
        "difference": float(difference.mean()),
        "low": float(low),
        "high": float(high),
        "share": float((difference > 0).mean()),
        "p": _p_value(flipped, difference.mean()),
    }


def against_shuffled(values: np.ndarray, seed: int = 0) -> dict[str, float | None]:
    """Mean of the diagonal against that under shuffled nodes; values `[features, features]`, columns are nodes.

    Means leave out NaN; p = (1 + #{shuffled mean >= mean}) / (5000 + 1).
    """
    n = len(values)
    if not np.isfinite(np.diag(values)).any():
        return dict.fromkeys(("mean", "shuffled", "p"))
    random = np.random.default_rng(seed)
    orders = random.permuted(np.tile(np.arange(n), (DRAWS, 1)), axis=1)
    means = np.nanmean(values[np.arange(n), orders], axis=1)
    own = float(np.nanmean(np.diag(values)))
    return {"mean": own, "shuffled": float(means.mean()), "p": _p_value(means, own)}


def interval(values: np.ndarray, seed: int = 0) -> dict[str, float | None]:
    """Mean over features with its 95 % bootstrap interval; None when there is no value."""
    found = against_control(values, np.zeros_like(values), seed)
    return {"mean": found["difference"], "low": found["low"], "high": found["high"]}


def _p_value(null: np.ndarray, value: float) -> float:
    """Rounding may not make an equal draw look smaller."""
    return float((1 + (null >= value - 1e-12 * abs(value)).sum()) / (1 + len(null)))
