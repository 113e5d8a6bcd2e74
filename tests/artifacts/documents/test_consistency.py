"""consistency.json comes back as it was written; what does not fit is not there."""

import json

import pandas as pd
import pytest

from hsae.artifacts.documents.consistency import read_consistency, write_consistency

TABLE = pd.DataFrame(
    {"model": ["a", "b", "b"], "layer": ["one", "two", "three"], "cophenetic_height": [0.25, None, 0.5], "R": [1, 2, 3]}
)


def document():
    return json.loads(json.dumps(write_consistency("b", TABLE, "b leads.", {"n_images": 3}), allow_nan=False))


def test_models_come_back_the_own_one_first():
    found = read_consistency(document())
    assert list(found) == ["b", "a"]
    assert found["b"].layers == ["two", "three"]
    assert found["b"].numbers == {"cophenetic_height": [None, 0.5], "R": [2, 3]}
    assert document()["conclusion"] == "b leads."


@pytest.mark.parametrize(
    "changes", [{"columns": None}, {"rows": [["a"]]}, {"rows": [[1, "one", 0.5, 1]]}, {"rows": [["a", None, 0.5, 1]]}]
)
def test_what_does_not_fit_is_not_there(changes):
    assert read_consistency(document() | changes) == {}
    assert read_consistency(None) == {}


def test_words_in_place_of_numbers_are_missing():
    assert read_consistency(document() | {"rows": [["b", "two", "high", True]]})["b"].numbers["R"] == [None]
