"""Who is listed of an image: what fires, and what is said of it though it lost to stronger latents."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from hsae.report.active import active_table
from hsae.report.shown_names import said_first

CAT = "n02121808"
LATENTS = pd.DataFrame(
    {
        "label": "old",
        "named": [1, 1, 0, 1, -1],
        "node": [CAT, CAT, CAT, CAT, None],
        "node_threshold": [0.5, 0.5, 0.0, 9.0, np.nan],
        "node_slope": [1.0, 2.0, np.nan, 1.0, np.nan],
        "node_offset": [0.0, -1.0, np.nan, 0.0, np.nan],
        "node_worth": [3.0, 1.0, np.nan, 2.0, np.nan],
        "p999": [2.0, 2.0, 2.0, 2.0, 2.0],
    }
)
VALUES = np.array([0, 1.0, 2.0, 1.5, 0], dtype=np.float32)
HIGHEST = np.array([0.6, 1.0, 2.0, 1.5, 5.0], dtype=np.float32)


def test_what_fires_is_listed_by_strength_and_last_what_is_only_said():
    table = active_table(LATENTS, VALUES, HIGHEST, top=10)
    assert table["latent"].tolist() == [2, 3, 1, 0]  # the last latent is neither
    assert table["activation"].tolist() == [2, 1.5, 1, 0]
    assert table["said"].tolist() == [False, False, True, True]  # refused; under its threshold
    assert table["chance"].tolist()[2:] == [pytest.approx(1 / (1 + np.exp(-1))), pytest.approx(1 / (1 + np.exp(-0.6)))]
    assert table["chance"].isna().tolist() == [True, True, False, False]
    assert active_table(LATENTS, VALUES, HIGHEST, top=2)["latent"].tolist() == [2, 3]


def test_a_silent_latent_below_its_threshold_is_not_listed():
    assert 0 not in active_table(LATENTS, VALUES, HIGHEST - 0.2, top=10)["latent"].tolist()


def test_the_likeliest_name_comes_first_and_of_equals_the_most_telling():
    table = active_table(LATENTS, VALUES, HIGHEST, top=10)
    assert said_first(table)["latent"].tolist() == [1, 0, 2, 3]
    assert said_first(table.assign(chance=0.5))["latent"].tolist() == [0, 1, 2, 3]


def test_a_table_of_an_older_version_knows_no_chance():
    table = active_table(LATENTS.drop(columns=["node_slope", "node_offset"]), VALUES, HIGHEST, top=10)
    assert table["chance"].isna().all()
    assert said_first(table)["latent"].tolist() == [0, 1, 2, 3]  # the most telling first


def test_what_the_probe_finds_likeliest_comes_first_however_strongly_a_latent_speaks():
    table = active_table(LATENTS, VALUES, HIGHEST, top=10)
    assert said_first(table.assign(likely=[np.nan, np.nan, 0.1, 0.7]))["latent"].tolist() == [0, 1, 2, 3]
    assert said_first(table.assign(likely=[0.9, np.nan, 0.7, 0.1]))["latent"].tolist() == [1, 0, 2, 3]  # unsaid stay
    assert said_first(table.assign(likely=np.nan))["latent"].tolist() == [1, 0, 2, 3]  # by the chance


def test_of_two_latents_of_one_node_the_one_that_fires_comes_first():
    table = active_table(LATENTS, VALUES, HIGHEST, top=10).assign(likely=[np.nan, np.nan, 0.7, 0.7], chance=0.5)
    assert said_first(table)["latent"].tolist() == [1, 0, 2, 3]
    assert said_first(table.assign(activation=0.0))["latent"].tolist() == [0, 1, 2, 3]  # control: the most telling
