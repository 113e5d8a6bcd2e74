"""Numbers become plain JSON of the promised length, and nothing that JSON has no word for is left."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd

from hsae.measures.plain import columns_and_rows, finite, mean, median, records, rounded, significant


def test_significant_digits_keep_what_is_no_float():
    value = {"a": [1.23456, 0.000123456], "b": "x", "c": 12345, "d": None, "e": (1.0, True)}
    assert significant(value, 3) == {"a": [1.23, 0.000123], "b": "x", "c": 12345, "d": None, "e": [1.0, True]}


def test_decimals_and_what_has_no_word_in_json():
    assert rounded(np.array([1.23456, np.nan, np.inf])) == [1.2346, None, None]
    assert rounded({"x": np.float32(0.5), "n": np.int64(3)}, 2) == {"x": 0.5, "n": 3}
    assert finite(float("nan")) is None
    assert finite(2.5) == 2.5


def test_tables_are_plain_json():
    table = pd.DataFrame({"name": ["a", None], "value": [0.123456, np.nan], "n": [1, 2]})
    rows = [{"name": "a", "value": 0.1235, "n": 1}, {"name": None, "value": None, "n": 2}]
    assert records(table) == rows
    assert columns_and_rows(table) == {"columns": ["name", "value", "n"], "rows": [list(row.values()) for row in rows]}
    assert json.loads(json.dumps(records(table), allow_nan=False)) == rows


def test_middles_of_nothing_are_none():
    assert median(np.array([np.nan, 1.0, 3.0])) == 2.0
    assert median(np.array([np.nan])) is None
    assert mean(np.array([])) is None
    assert mean(np.array([1.0, 2.0])) == 1.5
