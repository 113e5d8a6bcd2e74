from __future__ import annotations

import ast
import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsae.errors import InputError
from hsae.steering.edits import Edit, Op

ADD = {"latent": 7, "mode": "add", "amount": 1.5}
OFF = {"latent": 3, "mode": "off"}


@st.composite
def ops(draw):
    mode = draw(st.sampled_from(["add", "scale", "set", "off"]))
    lowest = {"add": -100, "scale": -100, "set": 0, "off": 0}[mode]
    amount = draw(st.floats(lowest, 0 if mode == "off" else 100))
    return Op(draw(st.integers(0, 10**6)), mode, amount)


edits = st.builds(
    Edit,
    layer=st.sampled_from(["block_01", "block_12"]),
    ops=st.lists(ops(), max_size=8, unique_by=lambda op: op.latent),
    scope=st.sampled_from(["cls", "patches", "all"])
    | st.lists(st.integers(0, 255), min_size=1, max_size=9, unique=True),
    artifact=st.just("someone/saes"),
    sha=st.just("0123abc"),
)


@given(edits)
def test_json_gives_the_same_edit_back(edit):
    assert Edit.from_json(edit.to_json()) == edit


@given(edits, edits, edits)
def test_steps_keep_their_order_through_then_and_json(a, b, c):
    chain = a.then(b).then(c)
    assert chain == a.then(b.then(c))
    assert [(s.layer, s.ops, s.scope) for s in chain.steps()] == [(s.layer, s.ops, s.scope) for s in (a, b, c)]
    assert Edit.from_json(chain.to_json()) == chain


def test_the_format_is_the_one_documented():
    edit = Edit("block_11", [ADD, OFF], [4, 2], artifact="org/name", sha="abcdef0").then(
        Edit("block_12", [], artifact="org/name", sha="abcdef0")
    )
    assert json.loads(edit.to_json()) == {
        "schema": 1,
        "artifact": "org/name",
        "sha": "abcdef0",
        "steps": [
            {"layer": "block_11", "scope": [4, 2], "ops": [ADD, {"latent": 3, "mode": "off", "amount": 0.0}]},
            {"layer": "block_12", "scope": "cls", "ops": []},
        ],
    }


@given(edits, edits)
def test_of_names_the_artifact_in_every_step(a, b):
    chain = a.then(b).of("someone/else", "fedcba9")
    assert {(s.artifact, s.sha) for s in chain.steps()} == {("someone/else", "fedcba9")}
    assert chain.of("someone/saes", "0123abc") == a.then(b)


@given(edits)
def test_the_replay_is_three_lines_of_python_with_the_edit_in_them(edit):
    lines = edit.to_python().splitlines()
    assert len(lines) == 3
    (call,) = [n for n in ast.walk(ast.parse(lines[2])) if isinstance(n, ast.Constant) and "steps" in str(n.value)]
    assert Edit.from_json(call.value) == edit
    assert repr(edit.artifact) in lines[1]


def test_numbers_of_numpy_become_plain_ones():
    edit = Edit("block_11", [{"latent": np.int64(7), "mode": "add", "amount": np.float32(1.5)}], np.arange(3))
    assert edit == Edit("block_11", [ADD], (0, 1, 2))
    assert Edit.from_json(edit.to_json()) == edit


def test_edits_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Edit("block_11", [ADD]).layer = "block_12"


def test_neutral_is_unchanged():
    assert Op(1, "add", 0).neutral
    assert Op(1, "scale", 0).neutral
    assert not any(op.neutral for op in (Op(1, "set", 0), Op(1, "off"), Op(1, "add", 1), Op(1, "scale", -1)))


@pytest.mark.parametrize(
    "op",
    [
        ADD | {"mode": "multiply"},
        ADD | {"mode": ["add"]},
        ADD | {"amount": float("nan")},
        ADD | {"amount": float("inf")},
        ADD | {"amount": 100.1},
        ADD | {"amount": -(10**400)},
        ADD | {"amount": "1"},
        ADD | {"amount": True},
        ADD | {"amount": None},
        ADD | {"latent": -1},
        ADD | {"latent": 7.0},
        ADD | {"latent": True},
        ADD | {"mode": "set", "amount": -1},
        OFF | {"amount": 1},
        ADD | {"surprise": 1},
        {"latent": 7},
        [7, "add", 1],
        None,
    ],
)
def test_impossible_ops_are_refused(op):
    with pytest.raises(InputError):
        Edit("block_11", [op])


@pytest.mark.parametrize(
    "change",
    [
        {"layer": ""},
        {"layer": None},
        {"layer": "x" * 201},
        {"ops": [ADD, ADD]},
        {"ops": [ADD | {"latent": i} for i in range(65)]},
        {"ops": ADD},
        {"ops": None},
        {"scope": "everything"},
        {"scope": []},
        {"scope": [1, 1]},
        {"scope": [-1]},
        {"scope": [1.5]},
        {"scope": [True]},
        {"scope": range(4097)},
        {"scope": None},
        {"artifact": 5},
        {"sha": "not hex"},
        {"sha": "abc"},
    ],
)
def test_impossible_edits_are_refused(change):
    with pytest.raises(InputError):
        Edit(**{"layer": "block_11", "ops": [ADD]} | change)


def test_the_limit_on_changes_holds_over_all_steps():
    half = [ADD | {"latent": i} for i in range(32)]
    full = Edit("block_11", half).then(Edit("block_12", half))
    with pytest.raises(InputError, match="64"):
        full.then(Edit("block_10", [ADD]))


def test_steps_of_two_artifacts_do_not_mix():
    with pytest.raises(InputError, match="one artifact"):
        Edit("block_11", [ADD], sha="abcdef0").then(Edit("block_12", [ADD], sha="abcdef1"))


def broken(**change):
    return json.dumps(json.loads(Edit("block_11", [ADD]).to_json()) | change)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "[" * 100_000,
        "{}",
        broken(schema=2),
        broken(schema=True),
        broken(extra=1),
        broken(steps=[]),
        broken(steps={}),
        broken(steps="abc"),
        broken(steps=[{"layer": "block_11", "ops": []}]),
        broken(steps=[{"layer": "block_11", "ops": [], "scope": "cls", "following": None}]),
        broken(steps=[{"layer": "block_11", "ops": [], "scope": "cls"}] * 65),
        broken(steps=[{"layer": "block_11", "ops": [ADD | {"amount": float("nan")}], "scope": "cls"}]),
        broken(steps=[{"layer": ["block_11"], "ops": [], "scope": "cls"}]),
    ],
)
def test_anything_else_is_no_edit(text):
    with pytest.raises(InputError):
        Edit.from_json(text)
