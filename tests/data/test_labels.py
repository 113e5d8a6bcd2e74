"""Class names become sorted WordNet ids; what is unknown is listed, not guessed."""

from __future__ import annotations

import json
import logging

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


@pytest.mark.parametrize(
    ("name", "wnid"),
    [
        ("golf_ball", "n03445777"),
        ("Tench", "n01440764"),
        ("Doberman, Doberman pinscher", "n02107142"),
        ("great white shark, white shark", "n01484850"),
        ("n02085620-Chihuahua", "n02085620"),
        ("maillot, tank suit", "n03710721"),
        ("Cardigan", "n02113186"),
        ("cardigan", "n02963159"),
        ("airplane", "n02691156"),
        ("maple_tree", "n12752205"),
    ],
)
def test_names_of_known_data_sets_need_no_map(name, wnid, caplog):
    with caplog.at_level(logging.INFO, "hsae.data"):
        assert label_rows([name, CAT], [0], None, "here")[0] == tuple(sorted([wnid, CAT]))
    assert (f"{name!r} = {wnid}" in caplog.text) == (not name.startswith("n02"))


def test_ambiguous_and_unknown_names_are_all_listed_with_their_ids():
    with pytest.raises(LabelError) as caught:
        label_rows(["crane", "gizmo", "maillot", CAT, "mouse"], [], None, "here")
    assert "1 unknown class(es): 'gizmo' and 3 ambiguous" in caught.value.got
    assert "'crane' is n02012849 (the bird) or n03126707 (the machine)" in caught.value.got
    assert "'maillot' is n03710637 (the tights of dancers) or n03710721 (the bathing suit)" in caught.value.got
    assert label_rows(["mouse"], [], "imagenet-1k", "here")[0] == ("n03793489",)
    assert label_rows(["mouse"], [], "cifar-100", "here")[0] == ("n02330245",)


def test_a_map_of_ones_own_is_not_added_to():
    with pytest.raises(LabelError, match=r"1 unknown.*'goldfish'"):
        label_rows(["cat", "goldfish"], [], {"cat": CAT}, "here")


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("imagenet_class_index.json", json.dumps({"0": ["n01440764", "tench"], "134": ["n02012849", "crane"],
                                                  "517": ["n03126707", "crane"]})),
        ("LOC_synset_mapping.txt", "n01440764 tench\nn02012849 crane\nn03126707 crane\n"),
    ],
    ids=["Keras", "Kaggle"],
)  # fmt: skip
def test_class_indexes_of_keras_and_kaggle_are_label_maps(tmp_path, file, text):
    path = write(tmp_path / file, text)
    assert label_rows(["tench", "n03126707"], [1, 0], path, "here") == (("n01440764", "n03126707"), [1, 0])
    with pytest.raises(LabelError, match=r"1 unknown.*'crane'"):
        label_rows(["crane"], [0], path, "here")
    if file.endswith("json"):
        assert label_rows(["134"], [0], path, "here")[0] == ("n02012849",)


def test_names_can_be_mapped_to_no_label(tmp_path):
    for file, text in (("map.csv", f"junk,\ncat,{CAT}\n"), ("map.json", json.dumps({"junk": None, "cat": CAT}))):
        assert label_rows(["cat", "junk"], [1, 0], write(tmp_path / file, text), "here") == ((CAT,), [None, 0])
    assert label_rows(["cat", "junk"], [1, 0], "none", "here") == ((), [None, None])


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
