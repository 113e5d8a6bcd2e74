"""The packaged natural photographs: a table that matches the files, labels that WordNet knows, free licences."""

from __future__ import annotations

import csv
import hashlib

import pytest
from PIL import Image

from hsae.data.starter import STARTER
from hsae.hierarchy.wordnet import wordnet

LICENCES = ("GPL-3+", "CC BY-SA 4.0", "public domain")


@pytest.fixture(scope="module")
def rows():
    with (STARTER / "photos.csv").open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        assert reader.fieldnames == ["key", "file", "wnid", "name", "source"]
        return list(reader)


def test_the_table_names_every_file_and_only_files_that_exist(rows):
    packaged = {path.relative_to(STARTER).as_posix() for path in STARTER.glob("photos/**/*.webp")}
    assert packaged == {row["file"] for row in rows}
    assert len(packaged) == len(rows) >= 220


def test_keys_give_the_file(rows):
    assert all(row["file"] == f"{row['key']}.webp" for row in rows)


def test_they_are_opaque_and_of_a_size_that_a_model_can_use(rows):
    for row in rows:
        with Image.open(STARTER / row["file"]) as image:
            assert image.mode == "RGB", row["key"]
            assert max(image.size) <= 640, row["key"]
            assert min(image.size) >= 150, row["key"]


def test_they_are_small_together(rows):
    assert sum((STARTER / row["file"]).stat().st_size for row in rows) < 16e6


def test_no_photograph_is_there_twice(rows):
    assert len({hashlib.sha256((STARTER / row["file"]).read_bytes()).digest() for row in rows}) == len(rows)


def test_names_are_those_of_the_synsets(rows):
    wordnet().require(row["wnid"] for row in rows)
    assert not [row["key"] for row in rows if row["name"] != wordnet().name(row["wnid"])]


@pytest.mark.parametrize(
    ("theme", "node"),
    [("mammals", "n01861778"), ("birds", "n01503061"), ("fish", "n02512053"), ("insects", "n02159955"),
     ("reptiles", "n01661091"), ("farm", "n00015388"), ("tools", "n00021939"), ("household", "n00021939")],
)  # fmt: skip
def test_labels_mean_what_the_theme_says(rows, theme, node):
    """Words with several senses: the bird `macaw`, the tool `pincer`, the animal `calf` are meant."""
    strange = {row["name"] for row in rows if row["key"].split("/")[1] == theme
               and node not in wordnet().ancestors(row["wnid"])}  # fmt: skip
    assert strange <= {"caterpillar"}, "a larva stands beside the insects"


def test_every_source_names_path_author_and_a_licence_that_is_packaged(rows):
    text = (STARTER / "photos" / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "END OF TERMS AND CONDITIONS" in text
    for row in rows:
        path, author, licence = row["source"].split("; ")
        assert path.endswith(".webp"), row["key"]
        assert author, row["key"]
        assert licence in LICENCES, row["key"]
        assert licence in text
        assert "GFDL" not in row["source"], row["key"]
