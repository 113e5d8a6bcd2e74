"""Which concept the page opens with, and what may be asked for."""

from __future__ import annotations

import pytest

from hsae.errors import InputError
from hsae.hierarchy import wordnet
from hsae.views.page.selection import SURPRISE
from hsae.views.tabs.concept.concept import _box, _film, _masks, concept_of

CARNIVORE, ANIMAL = "n02075296", "n00015388"


def test_a_photograph_opens_with_the_nearest_plain_word(desk, choices):
    selection = choices.choose(choices.first(), "image", "animals/dog")
    concept = concept_of(desk, selection)
    first = desk.session(selection).classes(top=1)["wnid"].iloc[0]
    assert concept in wordnet().ancestors(first)
    assert wordnet().name(concept).isalpha()


def test_what_opens_the_page_can_be_chosen(desk, choices):
    for photo in ("animals/dog", "photos/farm/dog", "photos/household/pan"):
        selection = choices.choose(choices.first(), "image", photo)
        assert choices.choose(selection, "concept", concept_of(desk, selection)).image == photo


def test_the_chosen_concept_is_the_one_shown(desk, choices):
    selection = choices.choose(choices.first(), "concept", CARNIVORE)
    assert concept_of(desk, selection) == CARNIVORE
    html = _film(desk, selection)
    assert html.count("carnivore") >= len(desk.models["unsaved"].artifact.layers)
    assert _box(desk, selection)[1].value == CARNIVORE


def test_the_film_has_a_mask_per_layer_but_for_what_is_always_so(desk, choices):
    selection = choices.choose(choices.first(), "concept", CARNIVORE)
    assert len(_masks(desk, selection)["masks"]) == 3


@pytest.mark.parametrize("value", ["n99999999", "dog", "<script>", "n03793489"])
def test_only_branches_over_the_classes_can_be_asked_for(choices, value):
    with pytest.raises(InputError, match="concept"):
        choices.choose(choices.first(), "concept", value)


def test_a_surprise_is_one_of_them(choices):
    known = {wnid for _, wnid in choices.models["unsaved"].concepts}
    assert choices.choose(choices.first(), "concept", SURPRISE).concept in known


def test_the_concept_is_in_the_link(choices):
    selection = choices.choose(choices.first(), "concept", CARNIVORE)
    link = choices.query(selection)
    assert choices.choose(choices.first(), "link", link) == selection
