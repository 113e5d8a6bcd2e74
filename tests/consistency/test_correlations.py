"""Rank correlations over layers count models, not layers, as cases."""

import numpy as np
import pandas as pd
import pytest

from hsae.consistency.correlations import conclude, correlation_table
from hsae.consistency.table import MEASURES, layer_table, model_table
from hsae.measures.wordnet.consistency import PRIMARY, SMALLER


def layers(models: int, each: int, link: float, seed: int = 0) -> pd.DataFrame:
    """R follows PRIMARY by `link`, and both follow the model."""
    random = np.random.default_rng(seed)
    rows = []
    for model in range(models):
        own = random.standard_normal()
        for layer in range(each):
            value = own + 0.1 * random.standard_normal()
            numbers = {name: value for name in MEASURES} | {f"{name}_null": 0.0 for name in MEASURES}
            R = link * value + 0.1 * random.standard_normal()
            rows.append({"model": f"m{model}", "layer": f"l{layer}", "accuracy": value, "R": R} | numbers)
    return layer_table(rows)


def of(table: pd.DataFrame, measure: str) -> pd.Series:
    return table[(table.measure == measure) & (table.outcome == "R")].iloc[0]


def test_what_goes_together_is_found_and_small_measures_are_turned():
    table = correlation_table(layers(8, 3, 1.0))
    primary = of(table, PRIMARY)
    assert 0.8 < primary.low <= primary.rho <= primary.high <= 1
    assert (primary.n_layers, primary.n_models) == (24, 8)
    assert of(table, SMALLER[0]).rho == pytest.approx(-primary.rho)
    assert "they go together" in conclude(table, model_table(layers(8, 3, 1.0)))


@pytest.mark.slow
def test_many_layers_of_few_models_are_few_cases():
    """Unrelated: an interval over models holds 0 although one over 60 layers as cases often does not."""
    found = [of(correlation_table(layers(4, 15, 0.0, seed)), PRIMARY) for seed in range(3)]
    assert sum(row.low <= 0 <= row.high for row in found) >= 2


def test_two_models_have_no_interval():
    row = of(correlation_table(layers(2, 4, 1.0)), PRIMARY)
    assert np.isnan(row.low)
    assert np.isnan(row.high)


def test_the_best_layer_stands_for_a_model():
    table = layers(2, 3, 1.0)
    best = model_table(table).set_index("model")
    for model, part in table.groupby("model"):
        assert best.loc[model, f"{PRIMARY}_gain"] == part[f"{PRIMARY}_gain"].max()
        assert best.loc[model, "mean_gain"] == pytest.approx(part[f"{PRIMARY}_gain"].mean())
        assert best.loc[model, "n_layers"] == 3
