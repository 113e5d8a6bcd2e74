"""The selection: what may be chosen, and links that restore it."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from hsae.errors import InputError
from hsae.views.page.photos import starter_keys
from hsae.views.page.selection import Selection
from hsae.views.page.state import VIEWS
from tests.views.conftest import LAYERS, N


def test_the_page_opens_where_the_parts_of_a_concept_add_up(choices):
    assert (choices.first().layer, choices.first().view) == ("block_03", "carries")


def test_a_layer_forgets_the_feature_of_the_one_before(choices):
    chosen = choices.choose(choices.first(), "latent", "5")
    assert (chosen.latent, chosen.view) == (5, "feature")
    moved = choices.choose(chosen, "layer", "block_03")
    assert (moved.layer, moved.latent) == ("block_03", None)
    again = choices.choose(replace(chosen, view="steer"), "latent", 7)
    assert (again.latent, again.view) == (7, "steer")


def test_another_layer_or_model_forgets_the_edit_and_another_photo_keeps_it(choices):
    edited = choices.choose(choices.first(), "edit", "3~1.5")
    assert choices.choose(edited, "image", "food/lemon").edit == "3~1.5"
    assert choices.choose(edited, "latent", "5").edit == "3~1.5"
    assert choices.choose(edited, "layer", "block_03").edit == ""
    assert choices.choose(edited, "model", edited.model).edit == ""


def test_a_feature_of_another_layer_is_chosen_at_once(choices):
    chosen = choices.choose(choices.first(), "feature", "block_03:7")
    assert (chosen.layer, chosen.latent, chosen.view) == ("block_03", 7, "feature")


def test_a_feature_is_added_by_number_or_word_and_turned_from_its_page(choices):
    there = choices.choose(choices.choose(choices.first(), "layer", "block_02"), "view", "steer")
    assert (choices.choose(there, "add", " 7 ").latent, choices.choose(there, "add", "7").view) == (7, "steer")
    assert choices.choose(there, "add", "carnivore").latent == 2
    for nothing in ("no such thing", "", str(N), "-1"):
        with pytest.raises(InputError, match="answers"):
            choices.choose(there, "add", nothing)
    turned = choices.choose(replace(there, view="feature", scope="all", shows="control"), "turned", "5~1")
    assert (turned.view, turned.latent, turned.edit, turned.scope, turned.shows) == ("steer", 5, "5~1", "", "")
    with pytest.raises(InputError):
        choices.choose(there, "turned", f"{N}~1")


def test_a_whole_link_is_chosen_as_the_back_button_does(choices):
    before = choices.choose(choices.first(), "feature", "block_03:7")
    after = choices.choose(before, "image", "food/lemon")
    assert choices.choose(after, "link", choices.query(before)) == before
    assert choices.choose(after, "link", "") == choices.first()


def test_back_keeps_the_visitors_own_photograph_unless_the_link_names_one(choices):
    own = choices.photos.add(Image.new("RGB", (60, 60), "red"))
    before = choices.choose(choices.first(), "image", own)
    after = choices.choose(before, "feature", "block_03:7")
    assert choices.choose(after, "link", choices.query(before)) == before
    assert choices.choose(after, "link", "?image=food/lemon").image == "food/lemon"
    assert choices.choose(replace(after, image="food/lemon"), "link", "").image == choices.first().image
    assert "image" not in choices.query(after)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("feature", "block_03"), ("feature", "block_99:1"), ("feature", f"block_03:{N}"),
        ("layer", "block_99"), ("layer", ""), ("latent", "-1"), ("latent", str(N)), ("latent", "²"), ("latent", "1e3"),
        ("image", "../../etc/passwd"), ("image", "upload-0"), ("view", "admin"), ("method", "x"), ("model", "x"),
        ("__class__", "x"), ("drawn", "x"), ("layer", None),
        ("edit", "99~1"), ("edit", "<b>"), ("scope", "x"), ("patches", "x"), ("shows", "x"), ("preset", "x|1~1"),
        ("preset", "animals/dog|block_03|n02121808||x"), ("preset", "animals/dog|block_03|n02121808||9"),
        ("preset", "animals/dog|block_99|n02121808||1"), ("less", "n00000001"),
    ],
)  # fmt: skip
def test_what_is_not_there_cannot_be_chosen(choices, field, value):
    with pytest.raises(InputError, match="Expected"):
        choices.choose(choices.first(), field, value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    layer=st.sampled_from(LAYERS),
    latent=st.none() | st.integers(0, N - 1),
    image=st.sampled_from(["", "animals/dog", "food/lemon", "photos/farm/dog@25"]),
    view=st.sampled_from(VIEWS),
    method=st.sampled_from(["", "activation", "input_gradient"]),
    edit=st.sampled_from(["", "3~1.5_4~-2"]),
    scope=st.sampled_from(["", "cls", "chosen"]),
    patches=st.sampled_from(["", "0.3"]),
    shows=st.sampled_from(["", "control"]),
)
def test_a_link_restores_everything(choices, layer, latent, image, view, method, edit, scope, patches, shows):
    what = {"method": method, "edit": edit, "scope": scope, "patches": patches, "shows": shows}
    selection = Selection("unsaved", layer, latent, image, view=view, **what)
    restored, problems = choices.from_query(dict(parse_qsl(choices.query(selection)[1:], keep_blank_values=True)))
    assert (restored, problems) == (selection, [])


def test_a_link_never_names_an_upload(choices):
    key = choices.photos.add(Image.new("RGB", (20, 20), "red"))
    selection = choices.choose(choices.first(), "image", key)
    assert selection.image == key
    assert "image" not in choices.query(selection)


def test_a_broken_link_opens_what_it_can_and_says_what_it_cannot(choices):
    found, problems = choices.from_query({"layer": "block_03", "latent": "x", "view": "steer", "junk": "1"})
    assert (found.layer, found.latent, found.view) == ("block_03", None, "steer")
    assert len(problems) == 1
    assert "'x'" in problems[0]


def test_the_first_photo_exists(choices):
    assert choices.first().image in starter_keys()
