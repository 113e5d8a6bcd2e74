"""Chains of captions on classes whose place in WordNet is known, and the command on tiny models."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hsae.commands import captions
from hsae.consistency.captions import chain_of, class_captions, with_article
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, wordnet
from tests.backbones.tiny_towers import saved_towers, tiny_towers

CAT, DOG, CAR = "n02121808", "n02084071", "n02958343"


def test_chains_hold_what_tells_classes_apart_from_general_to_specific():
    taxonomy = Taxonomy([CAT, DOG, CAR])
    carnivore = wordnet().named("carnivore")
    chain = chain_of(taxonomy, DOG)
    assert chain[-1] == DOG
    assert len(chain) == 2
    assert chain[0] in carnivore  # the lowest node above cat and dog; what is above all three is left out
    assert chain_of(taxonomy, CAR) == (CAR,)


def test_every_chain_falls_and_shares_its_captions():
    taxonomy = Taxonomy([CAT, DOG, CAR, "n01503061", "n02691156"])
    found = class_captions(taxonomy)
    for wnid, chain in zip(taxonomy.classes, found.chains, strict=True):
        nodes = [found.nodes[place] for place in chain]
        assert nodes[-1] == wnid
        counts = [taxonomy.leaf_count(node) for node in nodes]
        assert counts == sorted(counts, reverse=True)
        assert len(set(counts)) == len(counts)
        assert all(node in wordnet().ancestors(wnid) for node in nodes)
    assert len(set(found.nodes)) == len(found.nodes)
    assert found.written("a photo of {}")[found.chains[1][-1]] == "a photo of a dog"
    assert (with_article("animal"), with_article("dog")) == ("an animal", "a dog")


def test_bad_templates_and_classes_without_kin_are_refused():
    with pytest.raises(InputError, match="'a photo'"):
        class_captions(Taxonomy([CAT, DOG, CAR])).written("a photo")
    with pytest.raises(InputError, match="2 classes that nothing in WordNet groups"):
        class_captions(Taxonomy([CAT, CAR]))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Images of three classes, and two models that differ in their texts alone."""
    folder = tmp_path_factory.mktemp("captions")
    random = np.random.default_rng(0)
    for wnid in (CAT, DOG, CAR):
        (folder / "data" / wnid).mkdir(parents=True)
        for i in range(3):
            pixels = random.integers(0, 256, (20, 20, 3), np.uint8)
            Image.fromarray(pixels).save(folder / "data" / wnid / f"{i}.png")
    saved_towers(folder / "clip")
    tuned = tiny_towers("clip")
    tuned.text_projection.weight.data.mul_(-1)
    saved_towers(folder / "reclip", model=tuned)
    return folder


def test_the_command_measures_each_model_and_says_who_shares_images(folder, capsys):
    options = SimpleNamespace(
        models=[str(folder / "clip"), str(folder / "reclip")], data=str(folder / "data"), split=None, limit=None,
        template="a photo of {}", out=folder / "captions.json",
    )  # fmt: skip
    captions.run(options)
    assert "have the same image side" in capsys.readouterr().out
    written = json.loads((folder / "captions.json").read_text())
    assert len(written["rows"]) == 12
    assert written["n_captions"] == 4
    assert len(set(written["image_sides"].values())) == 1
    values = [row["value"] for row in written["rows"] if row["measure"] == "path_order"]
    assert values[0] == pytest.approx(-values[1])  # every similarity has turned around


def test_unlabelled_images_are_refused(folder, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    options = SimpleNamespace(models=[], data=str(tmp_path), split=None, limit=None, template="{}", out=None)
    with pytest.raises(InputError, match="no labelled image"):
        captions.run(options)


def test_models_with_image_sides_of_their_own_are_not_named():
    assert captions.shared_sides({"a": "1", "b": "2"}) == []
