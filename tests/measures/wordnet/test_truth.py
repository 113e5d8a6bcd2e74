"""What a model says of a photograph is judged by WordNet: an ancestor is true, a descendant is a guess."""

from __future__ import annotations

import pytest

from hsae.measures.wordnet.truth import Told, class_is_true, name_is_true, told

DOG, BEAGLE, ANIMAL, CAT, PENGUIN, KING_PENGUIN = (
    "n02084071", "n02088364", "n00015388", "n02121808", "n02055803", "n02056570",
)  # fmt: skip


@pytest.mark.parametrize(("node", "true"), [(DOG, True), (ANIMAL, True), (BEAGLE, False), (CAT, False)])
def test_a_name_is_true_of_what_is_under_it(node, true):
    assert name_is_true(node, DOG) is true


def test_a_class_below_the_label_may_be_that_of_the_thing():
    assert class_is_true(KING_PENGUIN, PENGUIN)
    assert class_is_true(PENGUIN, KING_PENGUIN)
    assert not class_is_true(KING_PENGUIN, CAT)


def test_the_first_and_one_of_five():
    said = [CAT, BEAGLE, PENGUIN, CAT, ANIMAL]
    assert told(DOG, [CAT], [CAT, BEAGLE], said) == Told(class_true=False, first_true=False, five_true=True)
    assert told(DOG, [BEAGLE], [CAT, BEAGLE], [CAT, *said]) == Told(True, False, five_true=False)
    assert told(DOG, [], [], [DOG]).first_true


def test_what_could_not_be_true_is_not_counted():
    assert told(PENGUIN, [CAT], [CAT, DOG], []) == Told(class_true=None, first_true=None, five_true=False)
