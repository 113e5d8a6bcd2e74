"""Turns are read as they were written, and what does not fit is as if it were not there."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from hsae.artifacts.documents.steerable import Found, read_steerable, resumed, write_found
from hsae.steering.turning import Moved, Turn

DOG, CAT = "n02084071", "n02121808"
FOUND = Found(
    Turn(CAT, DOG), "block_12", 2.0, 8, 10, {CAT: Moved(0.0, 0.75, 0.0, 0.125), DOG: Moved(1.0, 0.25, 1.0, 0.5)},
    "photos/farm/dog", (("block_11", 0.5, 0, 5), ("block_12", 2.0, 4, 5)),
)  # fmt: skip
RULES = {"data": "toy", "seed": 0}


def row():
    return json.loads(json.dumps(write_found(FOUND), allow_nan=False))


def read(*rows):
    return read_steerable({"rules": RULES, "turns": list(rows)}, ("block_11", "block_12"), (DOG, CAT))


def test_a_turn_comes_back():
    single = replace(FOUND, turn=Turn(less=DOG), moved={DOG: FOUND.moved[DOG]})
    assert read(row(), write_found(single)) == (replace(FOUND, tried=()), replace(single, tried=()))
    assert row()["tried"] == [["block_11", 0.5, 0, 5], ["block_12", 2.0, 4, 5]]
    assert FOUND.rate == 0.8


@pytest.mark.parametrize(
    "changes",
    [
        {"more": DOG}, {"more": "n00000000"}, {"more": 3, "less": None}, {"layer": "block_99"}, {"layer": []},
        {"amount": 0}, {"amount": -1.0}, {"amount": 1e9}, {"amount": "2"}, {"n": 0}, {"n": 2.5}, {"held": 11},
        {"held": -1}, {"moved": {}}, {"moved": {CAT: [0, 1, 0], DOG: [1, 0, 1, 1]}},
        {"moved": {CAT: [0, 1, 0, 2], DOG: [1, 0, 1, 1]}},
    ],
)  # fmt: skip
def test_what_does_not_fit_is_not_there(changes):
    assert read(row() | changes, row()) == read(row())
    assert read_steerable(None, ("block_12",), (DOG, CAT)) == ()
    assert read_steerable({"turns": "many"}, ("block_12",), (DOG, CAT)) == ()


def test_only_turns_measured_by_the_same_rules_are_kept():
    before = {"rules": RULES, "turns": [row()]}
    assert resumed(before, RULES) == before
    assert resumed(before, RULES | {"seed": 1}) == {"rules": RULES | {"seed": 1}, "turns": []}
    assert resumed(None, RULES) == {"rules": RULES, "turns": []}
