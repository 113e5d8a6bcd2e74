"""A scoreboard is read as it was written, and what does not fit is as if it were not there."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from hsae.artifacts.documents.scoreboard import read_scoreboard, write_scoreboard

TABLE = pd.DataFrame(
    {
        "layer": ["block_01", "block_02"],
        "name": ["topk", "random"],
        "R": [0.25, 0.0],
        "fvu": [0.125, None],
        "n": [24, 24],
    }
)
IMAGES = {"n_images": {"train": 3}}


def document():
    return json.loads(json.dumps(write_scoreboard(TABLE, IMAGES), allow_nan=False))


def test_rows_of_a_layer_come_back():
    (row,) = read_scoreboard(document(), "block_01").to_dict("records")
    assert row == {"layer": "block_01", "name": "topk", "R": 0.25, "fvu": 0.125, "n": 24}
    assert read_scoreboard(document(), "block_02").fvu.isna().all()
    assert read_scoreboard(document(), "block_03").empty
    assert document()["images"] == IMAGES


@pytest.mark.parametrize(
    "changes",
    [
        {"columns": None},
        {"columns": ["layer", "layer", "R", "fvu", "n"]},
        {"columns": ["layer", 3, "R", "fvu", "n"]},
        {"rows": [["block_01"]]},
        {"rows": "block_01"},
        {"rows": [{"layer": "block_01"}]},
    ],
)
def test_what_does_not_fit_is_not_there(changes):
    assert read_scoreboard(document() | changes, "block_01").empty
    assert read_scoreboard(None, "block_01").empty
    assert not read_scoreboard(document(), "block_01").empty
