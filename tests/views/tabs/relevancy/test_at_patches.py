"""Chosen patches lead to the features active there, by the artifact of patches beside the model's own."""

from __future__ import annotations

import re
from dataclasses import replace

from hsae.views.page.state import Choices
from hsae.views.tabs.relevancy.at_patches import at_patches_html
from tests.views.tabs.relevancy.conftest import LAYER


def test_the_features_are_those_of_the_place(both):
    there = replace(Choices(both.models, both.photos).first(), layer=LAYER, patches="6")
    (model,) = both.models.values()
    expected = both.photos.session(model.patches, there.image).active_latents(LAYER, 6, [(1, 2)])
    html = at_patches_html(both, there)
    said = re.findall(r'data-field="mark" data-value="patch:(\d+)"', html)
    assert list(map(int, said)) == expected["latent"].tolist()
    assert html.count("mask-image:url(") == len(expected)
    assert "Active at the chosen patch," in html
    assert "Choose patches" in at_patches_html(both, replace(there, patches=""))


def test_at_other_layers_it_says_where_and_without_patches_nothing(both, desk, choices):
    first = Choices(both.models, both.photos).first()
    assert f'data-value="{LAYER}"' in at_patches_html(both, replace(first, layer="block_01", patches="1"))
    assert at_patches_html(desk, replace(choices.first(), patches="1")) == ""
