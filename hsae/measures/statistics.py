"""Rank correlation, bootstrap intervals, permutation p-values, and many of them together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import false_discovery_control, rankdata

DRAWS = 5000


def spearman(a: np.ndarray, b: np.ndarray) -> float | None:
    """Rank correlation in [-1, 1], ties averaged; None for fewer than 3 pairs or a constant side."""
    if len(a) < 3 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return None
    return float(np.corrcoef(rankdata(a), rankdata(b))[0, 1])


def benjamini_hochberg(p: pd.Series) -> pd.Series:
    """q-values of the p-values that are not missing (Benjamini and Hochberg, 1995); the others stay missing.

    q: the expected share of false discoveries among all that are at least as significant.
    """
    present = p.notna()
    return p.mask(present, pd.Series(false_discovery_control(p[present]), p.index[present])) if present.any() else p


def bootstrap_interval(
    values: np.ndarray, random: np.random.Generator, statistic: Callable[..., np.ndarray] = np.mean, draws: int = DRAWS
) -> tuple[float, float]:
    """95 % interval of a statistic of `values [n]` over resamples of the n values; statistic: takes `axis`."""
    drawn = values[random.integers(len(values), size=(draws, len(values)))]
    low, high = np.quantile(statistic(drawn, axis=1), [0.025, 0.975])
    return float(low), float(high)


def against_control(values: np.ndarray, control: np.ndarray, seed: int = 0) -> dict[str, float | None]:
    """Mean of the paired differences, its 95 % bootstrap interval, share above 0, and a one-sided sign-flip p-value.

    values, control `[features]`; pairs with a NaN are left out. p = (1 + #{flipped mean >= mean}) / (5000 + 1).
    """
    difference = (values - control)[np.isfinite(values - control)]
    if not len(difference):
        return dict.fromkeys(("difference", "low", "high", "share", "p"))
    random = np.random.default_rng(seed)
    low, high = bootstrap_interval(difference, random)
    flipped = (random.choice([-1.0, 1.0], size=(DRAWS, len(difference))) * difference).mean(axis=1)
    return {
        "difference": float(difference.mean()),
        "low": low,
        "high": high,
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
    observed = float(np.nanmean(np.diag(values)))
    return {"mean": observed, "shuffled": float(means.mean()), "p": _p_value(means, observed)}


def interval(values: np.ndarray, seed: int = 0) -> dict[str, float | None]:
    """Mean over features with its 95 % bootstrap interval; None when there is no value."""
    summary = against_control(values, np.zeros_like(values), seed)
    return {"mean": summary["difference"], "low": summary["low"], "high": summary["high"]}


@dataclass(frozen=True)
class AgainstNull:
    """A number beside what chance gives."""

    value: float
    null: float
    """Mean of the draws of chance."""
    p: float
    """(1 + #{draws at least as good}) / (1 + #draws), in (0, 1]."""


def against_null(value: float, draws: np.ndarray, *, smaller: bool = False) -> AgainstNull:
    """`value` beside the `draws [n]` of chance; smaller: whether small values are the good ones."""
    sign = -1 if smaller else 1
    return AgainstNull(float(value), float(np.mean(draws)), _p_value(sign * draws, sign * value))


def _p_value(null: np.ndarray, value: float) -> float:
    """(1 + #{null >= value}) / (1 + draws); a tolerance counts draws that differ by rounding only as equal."""
    return float((1 + (null >= value - 1e-12 * abs(value)).sum()) / (1 + len(null)))
