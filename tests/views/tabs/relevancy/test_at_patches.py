"""Chosen patches lead to the features active there, by the artifact of patches beside the model's own."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from hsae.views.page.desk import Desk
from hsae.views.page.models import Models
from hsae.views.page.photos import Photos
from hsae.views.page.state import Choices
from hsae.views.tabs.relevancy.at_patches import at_patches_html
from tests.views.page.test_models import of_patches

LAYER = "block_02"


@pytest.fixture(scope="module")
def both(artifact):
    models = Models([artifact, of_patches(artifact).only([LAYER])])
    models.settle(60)
    return Desk(models, Photos())


def test_the_features_are_those_of_the_place(both):
    there = replace(Choices(both.models, both.photos).first(), layer=LAYER, patches="6")
    (model,) = both.models.values()
    expected = both.photos.session(model.patches, there.image).active_latents(LAYER, 6, [(1, 2)])
    html = at_patches_html(both, there)
    said = re.findall(r'<td><span title="[^"]*">[^<]*?(\d+)', html)
    assert 0 < len(said) <= len(expected)
    assert html.count("mask-image") == len(expected)
    assert "Active at the 1 chosen patches" in html
    assert "Choose patches" in at_patches_html(both, replace(there, patches=""))


def test_at_other_layers_it_says_where_and_without_patches_nothing(both, desk, choices):
    first = Choices(both.models, both.photos).first()
    assert f'data-value="{LAYER}"' in at_patches_html(both, replace(first, layer="block_01", patches="1"))
    assert at_patches_html(desk, replace(choices.first(), patches="1")) == ""
