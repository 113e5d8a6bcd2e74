"""Features side by side: each mark is a picture with the mask of its own map, in a colour of its own."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from hsae.errors import InputError
from hsae.views.page.state import Choices
from hsae.views.parts.dim import mask_uri
from hsae.views.tabs.relevancy.at_patches import at_patches_html, masks
from hsae.views.tabs.relevancy.colours import colours_html
from hsae.views.tabs.relevancy.explained import explained
from tests.views.tabs.relevancy.conftest import LAYER


@pytest.fixture
def there(both):
    choices = Choices(both.models, both.photos)
    return choices, replace(choices.first(), layer=LAYER, view="relevancy")


def active_of(desk, selection) -> tuple[int, int]:
    """The first two active features."""
    active = desk.active(selection)
    return tuple(active[active["activation"] > 0]["latent"].astype(int).head(2))


def test_every_marked_feature_has_its_own_map_in_its_own_colour(both, there):
    choices, selection = there
    first, second = active_of(both, selection)
    patch = int(both.photos.session(both.model(selection).patches, selection.image).active_latents(LAYER)["latent"][0])
    for mark in (f"feature:{first}", f"feature:{second}", f"patch:{patch}"):
        selection = choices.choose(selection, "mark", mark)
    html = colours_html(both, selection)
    session = both.session(selection)
    maps = [session.relevancy(LAYER, first), session.relevancy(LAYER, second)]
    maps.append(both.photos.session(both.model(selection).patches, selection.image).activation_map(LAYER, patch))
    found = re.findall(r'<span class="s(\d)"><i style="mask-image:url\(([^)]*)\)"></i></span>', html)
    expected = [(str(at), mask_uri(one)) for at, one in enumerate(maps)]
    assert found == [*expected, *expected], "all in the first picture, then each alone"
    assert len({uri for _, uri in found}) == 3
    assert html.count('aria-pressed="true"') == 2, "features of patches are offered beside the patches"


def test_a_silent_feature_is_said_to_be_silent(both, there):
    choices, selection = there
    active = set(both.active(selection)["latent"])
    silent = next(latent for latent in range(24) if latent not in active)
    html = colours_html(both, choices.choose(selection, "mark", f"feature:{silent}"))
    assert "silent in this photo" in html
    assert "mask-image" not in html
    assert "silent" not in colours_html(both, selection)


def test_marks_are_toggled_up_to_four_and_forgotten_with_their_layer(both, there):
    choices, selection = there
    for latent in (1, 2, 3, 1, 4, 5):
        selection = choices.choose(selection, "mark", f"feature:{latent}")
    assert selection.marks == "feature:2,feature:3,feature:4,feature:5"
    assert choices.from_query({"layer": LAYER, "marks": selection.marks})[0].marks == selection.marks
    for bad in ("patch:1", "feature:24", "patch:99", "layer:1", "feature:<b>"):
        with pytest.raises(InputError):
            choices.choose(selection, "mark", bad)
    assert choices.choose(selection, "layer", "block_01").marks == ""
    with pytest.raises(InputError):  # patches have features at one layer only
        choices.choose(choices.choose(selection, "layer", "block_01"), "mark", "patch:1")


def test_the_photographs_of_others_are_lit_where_the_feature_fires(both, there):
    choices, selection = there
    selection = replace(selection, patches="6")
    names = set(re.findall(r"mask-image:var\((--shot-\w+)\)", at_patches_html(both, selection)))
    lit = masks(both, selection)["masks"]
    assert names == set(lit)
    patches = both.model(selection).patches
    latent = int(both.photos.session(patches, selection.image).active_latents(LAYER, 1, [(1, 2)])["latent"][0])
    (example,) = patches.session().examples(LAYER, latent, 4)
    assert mask_uri(example.map) in lit.values()
    marked = next(n for n in range(24) if f"patch:{n}" not in at_patches_html(both, selection))
    more = masks(both, choices.choose(selection, "mark", f"patch:{marked}"))["masks"]
    assert set(lit) < set(more)


def test_a_concept_a_class_and_a_feature_are_explained_each_by_its_own_map(both, there):
    _, selection = there
    found = explained(both, replace(selection, concept="n02075296"))
    assert [one.kind for one in found] == ["concept", "class", "feature"]
    session = both.session(selection)
    chance = session.node_probabilities(["n02075296"])["n02075296"][LAYER]
    assert f"{100 * chance:.0f} %" in found[0].told, "the number of the film"
    assert found[0].map() is session.concept_relevancy(LAYER, "n02075296")
    assert found[0].curve().morf[0] == pytest.approx(found[0].map().target_value, abs=1e-4)
    leaf = session.classes(top=1)["wnid"].iloc[0]
    assert [one.kind for one in explained(both, replace(selection, concept=leaf))] == ["concept", "feature"]
