"""Class names become sorted WordNet ids; what is unknown is listed, not guessed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsae.data.labels import label_rows
from hsae.errors import LabelError

CAT, DOG = "n02121808", "n02084071"
NAMES = {"cat": CAT, "dog": DOG, "puppy": DOG}


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_names_are_mapped_and_classes_sorted():
    classes, labels = label_rows(["cat", "puppy", DOG], [0, 1, None, 2, -1], NAMES, "here")
    assert classes == (DOG, CAT)
    assert labels == [1, 0, None, 0, None]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("map.csv", f'name,wnid\ncat,{CAT}\n\n"dog, a",{DOG}\n'),
        ("map.csv", f'\ufeffcat,{CAT}\n"dog, a",{DOG}\n'),
        ("map.json", json.dumps({"cat": CAT, "dog, a": DOG})),
    ],
    ids=["csv with header", "csv with byte order mark", "json"],
)
def test_label_map_files(tmp_path, file, text):
    assert label_rows(["cat", "dog, a"], [0, 1], write(tmp_path / file, text), "here") == ((DOG, CAT), [1, 0])


def test_every_unknown_class_is_listed_with_what_to_do():
    with pytest.raises(LabelError, match="2 unknown") as caught:
        label_rows(["zebra", "cat", "n1234", CAT], [], {"cat": CAT}, "here")
    assert "'n1234', 'zebra'" in str(caught.value)
    assert "label_map" in caught.value.do


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("map.csv", "cat,feline\n", "'cat': 'feline'"),
        ("map.csv", f"cat,{CAT}\ncat,{DOG}\n", "'cat' twice"),
        ("map.json", f'{{"cat": "{CAT}", "cat": "{DOG}"}}', "'cat' twice"),
        ("map.csv", f"cat,{CAT},3\n", "cannot be read"),
        ("map.json", "{", "cannot be read"),
        ("map.json", "[1]", "cannot be read"),
    ],
)
def test_bad_label_maps_are_refused(tmp_path, file, text, says):
    with pytest.raises(LabelError, match=says):
        label_rows(["cat"], [0], write(tmp_path / file, text), "here")


def test_a_missing_label_map_is_refused(tmp_path):
    with pytest.raises(LabelError, match="cannot be read"):
        label_rows(["cat"], [0], tmp_path / "none.csv", "here")


def test_a_label_beyond_the_names_is_refused():
    with pytest.raises(LabelError, match="beyond"):
        label_rows([CAT], [0, 1], None, "here")


@given(st.lists(st.integers(0, 10**8 - 1), unique=True, min_size=1), st.data())
def test_every_row_keeps_its_class(numbers, data):
    wnids = [f"n{number:08}" for number in numbers]
    rows = data.draw(st.lists(st.integers(0, len(wnids) - 1)))
    classes, labels = label_rows(wnids, rows, None, "here")
    assert list(classes) == sorted(wnids)
    assert [classes[label] for label in labels] == [wnids[row] for row in rows]
