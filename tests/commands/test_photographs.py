"""python -m hsae photographs: shares over what could be true, and names in the order of the app's list."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hsae.commands.photographs import names_said, said_of, summary
from hsae.data.samples import load_samples

CAT, DOG, ANIMAL = "n02121808", "n02084071", "n00015388"


def test_shares_are_over_the_photographs_that_could_be_true():
    """By hand: of four photographs three have a class, two of them right; two have a name, one of them true."""
    rows = pd.DataFrame(
        {
            "layer": ["b1"] * 4,
            "class_true": [True, None, True, False],
            "first_true": [None, True, False, None],
            "five_true": [False, True, True, False],
        }
    )
    row = summary(rows).loc["b1"]
    assert (row["photographs"], row["known"]) == (4, 3)
    assert row["top 3"] == pytest.approx(2 / 3)
    assert (row["said"], row["first true"], row["five true"]) == (0.5, 0.5, 0.5)


def test_layers_keep_their_order():
    rows = pd.DataFrame({"layer": ["b2", "b10"], "class_true": [None, None], "first_true": [None, None],
                         "five_true": [False, False]})  # fmt: skip
    table = summary(rows)
    assert list(table.index) == ["b2", "b10"]
    assert table["top 3"].isna().all()


class OneLayer:
    """A session whose active latents are given: the strongest first."""

    def __init__(self, active):
        self.active, self.artifact = active, self

    def sae(self, layer):
        return self

    d_sae = 8

    def active_latents(self, layer, top):
        return self.active.head(top)


def test_only_names_that_are_said_count_the_most_telling_first_and_each_once():
    active = pd.DataFrame(
        {
            "latent": [0, 1, 2, 3], "said": [False, True, True, True], "named": np.int32(1),
            "node": [CAT, ANIMAL, DOG, DOG], "node_precision": [1.0, 0.5, 0.9, 0.8], "node_lift": [9.0, 2.0, 9.0, 9.0],
        }
    )  # fmt: skip
    assert names_said(OneLayer(active), "b1") == [DOG, ANIMAL]
    assert names_said(OneLayer(active.assign(said=False)), "b1") == []


class Looking(OneLayer):
    """Says "dog" of every photograph, by its classes and by one name."""

    def __init__(self):
        super().__init__(pd.DataFrame({"latent": [0], "said": [True], "named": np.int32(1), "node": [DOG],
                                       "node_precision": [0.9], "node_lift": [9.0]}))  # fmt: skip
        self.seen = 0

    def set_image(self, image):
        self.seen += 1

    def classes(self, layer, top):
        return pd.DataFrame({"wnid": [DOG]})

    def likely_concept(self):
        return DOG


class Artifact:
    layers, classes = ("b1",), (CAT, DOG)

    def sae(self, layer):
        return OneLayer


def test_every_labelled_photograph_is_judged_by_its_own_label(tmp_path):
    for wnid in (CAT, DOG):
        (tmp_path / wnid).mkdir()
        Image.new("RGB", (20, 20)).save(tmp_path / wnid / "a.png")
    session = Looking()
    session.artifact = Artifact()
    rows = pd.DataFrame(said_of(session, load_samples(tmp_path)))
    assert set(rows["wnid"]) == {CAT, DOG}
    assert (rows["class_true"] == (rows["wnid"] == DOG)).all()
    assert (rows["first_true"] == (rows["wnid"] == DOG)).all()
    assert (rows["concept_true"] == (rows["wnid"] == DOG)).all()
    assert session.seen == 2
