"""The packaged photographs: a table that matches the files, small images, exact masks, labels that WordNet knows."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import hsae
from hsae.hierarchy.wordnet import wordnet

STARTER = Path(hsae.__file__).parent / "starter"
COLUMNS = ["key", "file", "wnid", "name", "source"]


@pytest.fixture(scope="module")
def rows():
    with (STARTER / "images.csv").open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        assert reader.fieldnames == COLUMNS
        return list(reader)


@pytest.fixture(scope="module")
def images(rows):
    return {row["key"]: Image.open(STARTER / row["file"]) for row in rows}


def test_about_three_hundred_photographs(rows):
    assert 280 <= len(rows) <= 330


def test_the_table_names_every_file_and_only_files_that_exist(rows):
    packaged = {path.relative_to(STARTER).as_posix() for path in STARTER.glob("images/**/*") if path.is_file()}
    assert packaged == {row["file"] for row in rows}


def test_keys_are_unique_and_give_the_file(rows):
    assert len({row["key"] for row in rows}) == len(rows)
    assert all(row["file"] == f"images/{row['key']}.webp" for row in rows)


def test_the_photographs_are_small(images):
    assert sum((STARTER / f"images/{key}.webp").stat().st_size for key in images) < 12e6
    assert not [key for key, image in images.items() if max(image.size) > 384]


def test_alpha_is_a_mask_neither_empty_nor_full(images):
    for key, image in images.items():
        assert image.mode == "RGBA", key
        alpha = np.asarray(image)[..., 3]
        assert 0.05 < (alpha >= 128).mean() < 0.95, key
        assert (alpha == 0).mean() > 0.02, key


def test_every_image_is_cropped_to_its_object(images):
    assert not [key for key, image in images.items() if image.getchannel("A").getbbox() != (0, 0, *image.size)]


def test_every_label_is_a_wordnet_noun(rows):
    assert all(re.fullmatch(r"n\d{8}", row["wnid"]) for row in rows)
    wordnet().require(row["wnid"] for row in rows)


def test_labels_by_hand_mean_what_they_show(rows):
    """Words with several senses: the animal, the fruit and the tool are meant."""
    wnids = {row["key"]: row["wnid"] for row in rows}
    expected = {"animals/crowned_crane": "bird", "animals/mouse": "rodent", "food/orange": "edible fruit",
                "hobbies/drumkit": "musical instrument", "household/spade": "hand tool", "animals/turkey": "bird",
                "vehicles/balloon360": "aircraft", "plants/iris": "plant", "animals/seahorse": "fish"}  # fmt: skip
    for key, kind in expected.items():
        assert kind in {wordnet().name(ancestor) for ancestor in wordnet().ancestors(wnids[key])}, key


def test_every_source_names_path_author_and_licence(rows):
    for row in rows:
        path, author, licence = row["source"].split("; ")
        assert re.fullmatch(r"stamps/[\w/-]+\.png", path), row["key"]
        assert path.split("/")[1] == row["key"].split("/")[0]
        assert author
        assert licence.startswith(("GPL", "CC BY", "public domain")), row["key"]


def test_the_licence_text_is_packaged():
    text = (STARTER / "LICENSE").read_text(encoding="utf-8")
    assert "GNU GENERAL PUBLIC LICENSE" in text
    assert "END OF TERMS AND CONDITIONS" in text
