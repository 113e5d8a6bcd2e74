"""CIFAR-10, CIFAR-100, ImageNet-1k and Tiny-ImageNet: classes by number or name, each a noun of WordNet that fits."""

from __future__ import annotations

import hashlib
from itertools import permutations

import pytest
from datasets import ClassLabel, Dataset, Features, Image

from hsae.data.known_classes import KNOWN, known_classes, known_map, meanings, recognised
from hsae.data.labels import label_rows
from hsae.data.samples import load_samples
from hsae.errors import LabelError
from hsae.hierarchy.wordnet import wordnet
from tests.data.conftest import png

CIFAR = [name for name, _ in known_classes("cifar-100")]
KINDS = {  # a kind of WordNet for each class, from the photographs and not from the table
    "aquatic mammal": "dolphin seal whale",
    "artifact": "bottle bowl can cup plate clock keyboard lamp telephone television bed chair couch table wardrobe "
    "bridge castle house road skyscraper lawn_mower",
    "atmospheric phenomenon": "cloud",
    "body of water": "sea",
    "carnivore": "bear leopard lion tiger wolf fox otter raccoon skunk",
    "conveyance": "bicycle bus motorcycle pickup_truck train rocket streetcar tank tractor",
    "edible fruit": "apple orange pear",
    "fish": "aquarium_fish flatfish ray shark trout",
    "fungus": "mushroom",
    "insect": "bee beetle butterfly cockroach",
    "invertebrate": "crab lobster snail spider worm",
    "land": "plain",
    "larva": "caterpillar",
    "mammal": "camel cattle chimpanzee elephant kangaroo possum rabbit shrew",
    "natural elevation": "mountain",
    "person": "baby boy girl man woman",
    "reptile": "crocodile dinosaur lizard snake turtle",
    "rodent": "beaver hamster mouse porcupine squirrel",
    "vascular plant": "orchid poppy rose sunflower tulip maple_tree oak_tree palm_tree pine_tree willow_tree",
    "vegetable": "sweet_pepper",
    "vegetation": "forest",
}


@pytest.mark.parametrize(("data_set", "number"), [("cifar-10", 10), ("cifar-100", 100), ("imagenet-1k", 1000)])
def test_every_class_is_a_noun_of_its_own(data_set, number):
    wnids = [wnid for _, wnid in known_classes(data_set)]
    assert len(set(wnids)) == number
    wordnet().require(wnids)


def test_cifar_100_is_in_its_own_order_and_named_by_its_synsets():
    assert sorted(CIFAR) == CIFAR
    strange = {
        n for n, w in known_classes("cifar-100") if n.replace("_", " ") not in map(str.lower, wordnet().lemmas(w))
    }
    assert strange == {"aquarium_fish", "maple_tree"}, "which stand for goldfish and maple"


def test_the_words_of_the_tables_are_those_of_wordnet():
    assert all(name in wordnet().lemmas(wnid) for name, wnid in known_classes("cifar-10"))
    for _, wnid in known_classes("imagenet-1k"):
        assert all(wnid in meanings(word, ["imagenet-1k"]) for word in wordnet().lemmas(wnid)[:1])
    assert meanings("Felis catus") == (), "no class of ImageNet is the domestic cat"


@pytest.mark.parametrize("kind", KINDS)
def test_cifar_100_means_the_thing_in_the_photograph(kind):
    wnids = dict(known_classes("cifar-100"))
    wrong = [n for n in KINDS[kind].split() if kind not in {wordnet().name(a) for a in wordnet().ancestors(wnids[n])}]
    assert not wrong


def test_every_class_of_cifar_100_has_a_kind():
    assert sorted(" ".join(KINDS.values()).split()) == CIFAR


def test_the_only_class_of_cifar_100_above_another_is_whale():
    above = [(a, b) for (a, x), (b, y) in permutations(known_classes("cifar-100"), 2) if x in wordnet().ancestors(y)]
    assert above == [("whale", "dolphin")]


def test_imagenet_1k_is_the_official_list_in_order():
    wnids = [wnid for _, wnid in known_classes("imagenet-1k")]
    assert wnids == sorted(wnids)
    digest = hashlib.sha256("\n".join(wnids).encode()).hexdigest()
    assert digest == "385e0240499426c022b773be1ae4da780f057b89c9694c7f47199f62746b6edd"


def test_names_are_recognised_in_order_only():
    spelled = [name.replace("_", " ").title() for name in CIFAR]
    assert recognised(spelled) == recognised(CIFAR) == [wnid for _, wnid in known_classes("cifar-100")]
    assert recognised(CIFAR[::-1]) is recognised(CIFAR[:99]) is recognised([]) is None
    imagenet = [", ".join(wordnet().lemmas(wnid)) for _, wnid in known_classes("imagenet-1k")]
    assert recognised(imagenet) == [wnid for _, wnid in known_classes("imagenet-1k")]
    assert recognised([str(number) for number in range(1000)]) is None, "numbers alone say nothing"


def test_both_cranes_of_imagenet_have_a_number_but_no_name():
    names = known_map("imagenet-1k")
    assert "crane" not in names
    assert (names["134"], names["517"]) == ("n02012849", "n03126707")
    assert [wordnet().name(names[key]) for key in ("134", "517", "n03126707")] == ["crane"] * 3


@pytest.mark.parametrize("data_set", KNOWN)
def test_class_numbers_need_the_name_of_the_data_set(data_set):
    with pytest.raises(LabelError, match="'7', '9'.*" + data_set):
        label_rows(["7", "9"], [0, 1], None, "here")
    wnids = [wnid for _, wnid in known_classes(data_set)]
    classes, labels = label_rows(["9", "7"], [0, 1], data_set, "here")
    assert [classes[label] for label in labels] == [wnids[9], wnids[7]]


def test_cifar_100_as_the_hub_has_it_needs_no_map(tmp_path):
    coarse = ClassLabel(names=["aquatic_mammals", "fish"])
    features = Features({"img": Image(), "fine_label": ClassLabel(names=CIFAR), "coarse_label": coarse})
    rows = {"img": [{"bytes": png(1), "path": None}] * 2, "fine_label": [30, 95], "coarse_label": [0, 0]}
    Dataset.from_dict(rows, features=features).to_parquet(tmp_path / "train.parquet")
    samples = load_samples(tmp_path)
    assert len(samples.classes) == 100
    assert [wordnet().name(sample.wnid) for sample in samples] == ["dolphin", "whale"]


def test_tiny_imagenet_names_its_classes_by_wnid(shared):
    assert set(load_samples(shared / "data" / "tiny-imagenet").classes) < set(wordnet())
