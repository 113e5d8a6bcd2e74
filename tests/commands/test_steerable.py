"""python -m hsae steerable: a push that works is found and measured on other photographs; one that does not is told."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hsae.artifacts.documents.steerable import Found
from hsae.commands.steerable import RELIABLE, Rules, Search, known_nodes, pairs, told
from hsae.data.samples import load_samples
from hsae.hierarchy import Taxonomy
from hsae.steering.turning import Moved, Turn

DOG, CAT, CAR, ANIMAL = "n02084071", "n02121808", "n02958343", "n00015388"
CLASSES = ("n02085620", "n02106662", "n02123045", "n02124075", "n04285008")
RULES = Rules("toy", ("early", "late"), choice=2, test=4, seed=0, amounts=(1.0, 3.0))


@pytest.fixture
def samples(tmp_path):
    """Six photographs a class, whose shade is their number."""
    for wnid in CLASSES:
        (tmp_path / wnid).mkdir()
        for shade in range(6):
            Image.new("RGB", (16, 16), (shade, 0, 0)).save(tmp_path / wnid / f"{shade}.png")
    return load_samples(tmp_path)


class Turning:
    """A session that sees dogs only, and where pushes at the given places work on all photographs but some."""

    def __init__(self, works, but=()):
        self.works, self.but, self.shown = works, but, []
        self.artifact = SimpleNamespace(layers=("early", "late"))

    def set_image(self, image):
        self.shown.append(image.getpixel((0, 0))[0])

    def node_probabilities(self, nodes):
        return {node: {"early": 0.5, "late": 0.9 if node == DOG else 0.1} for node in nodes}

    def turn(self, layer, turn, amount):
        return layer, amount

    def steer(self, edit, control_seed):
        return edit in self.works and self.shown[-1] not in self.but

    def moved(self, node, works):
        before = self.node_probabilities([node])[node]["late"]
        return Moved(before, 1 - before if works else before, before, before)


def test_of_places_that_work_the_earliest_and_least_is_taken(samples):
    session = Turning({("late", 1.0), ("early", 3.0), ("late", 3.0)})
    found = Search(session, samples, RULES).find(Turn(less=DOG))
    assert (found.layer, found.amount, found.held, found.n) == ("early", 3.0, 4, 4)
    assert dict(found.moved)[DOG] == Moved(0.9, pytest.approx(0.1), 0.9, 0.9)
    assert found.tried == [("early", 1.0, 0, 2), ("early", 3.0, 2, 2), ("late", 1.0, 2, 2), ("late", 3.0, 2, 2)]
    assert "less dog: 4 of 4 at early by 3; dog 0.90 -> 0.10" in told(found)


def test_the_rate_is_of_photographs_that_did_not_choose(samples):
    """On one of the test photographs nothing works; the choice did not see it."""
    order = Turning({("late", 3.0)})
    Search(order, samples, RULES).find(Turn(less=DOG))
    last = order.shown[-1]
    times = order.shown[RULES.choice :].count(last)
    found = Search(Turning({("late", 3.0)}, but={last}), samples, RULES).find(Turn(less=DOG))
    assert found.held == RULES.test - times < RULES.test


def test_nothing_is_said_where_there_are_too_few_photographs_or_it_is_there_already(samples):
    assert Search(Turning(set()), samples.take(4), RULES).find(Turn(less=DOG)) is None
    assert Search(Turning(set()), samples, RULES).find(Turn(more=DOG)) is None  # all are seen as dogs
    assert Search(Turning(set()), samples, RULES).find(Turn(more=CAR)).held == 0


def test_a_turn_is_tried_on_photographs_of_what_is_taken(samples):
    keys = list(Search(Turning(set()), samples, RULES).photographs(Turn(CAT, DOG)))
    assert sorted({key.split("/")[0] for key in keys}) == ["n02085620", "n02106662"]
    others = list(Search(Turning(set()), samples, RULES).photographs(Turn(more=CAT)))
    assert sorted({key.split("/")[0] for key in others}) == ["n02085620", "n02106662", "n04285008"]


def test_words_mean_nodes_with_images_of_some_but_not_all_classes(samples):
    taxonomy = Taxonomy(CLASSES)
    assert known_nodes(taxonomy, samples, 12, ["dog", "domestic cat", "tiger", CAT, "entity"]) == [DOG, CAT]
    assert known_nodes(taxonomy, samples, 13, ["dog"]) == []


def test_pairs_go_to_the_nearest_that_can_be_brought_and_is_not_both():
    def found(turn, held=9):
        return Found(turn, "late", 1.0, held, 10, {node: Moved(0, 1, 0, 0) for node in turn.nodes})

    singles = [found(Turn(more=node)) for node in (CAR, ANIMAL, DOG, CAT)]
    singles += [found(Turn(less=node), held=0) for node in (DOG, CAT, CAR)]
    assert pairs(singles, Taxonomy(CLASSES), 9) == [Turn(CAT, DOG), Turn(DOG, CAT), Turn(ANIMAL, CAR)]
    assert pairs(singles, Taxonomy(CLASSES), 1) == [Turn(CAT, DOG)]
    weak = [found(one.turn, held=7) if one.turn.more == CAT else one for one in singles]
    assert pairs(weak, Taxonomy(CLASSES), 1) == [Turn(CAR, DOG)]


def test_a_reliable_turn_gets_a_starter_photograph_on_which_it_holds(samples):
    works = Search(Turning({("late", 3.0)}), samples, RULES)
    row = Found(Turn(less=DOG), "late", 3.0, 8, 10, {DOG: Moved(1, 0, 1, 1)})
    assert row.rate == RELIABLE
    assert works.with_photo(row).photo.startswith("photos/")
    assert Search(Turning(set()), samples, RULES).with_photo(row).photo == ""
    assert np.isclose(Found(Turn(less=DOG), "late", 3.0, 7, 10, {}).rate, 0.7)
