"""The profile on a card: the document's numbers, and nothing that cannot be read."""

from __future__ import annotations

import re

import pytest

from hsae.artifacts.documents.profiles import read_profile
from hsae.measures.profiles import Profile
from hsae.views.tabs.feature.profile import profile_html
from tests.views.conftest import CLASSES, latents

DOCUMENT = {"bins": 3, "layers": {"block_01": ["", "2 0 1|1 90 0 25 9 80", "x 1|", "1 2|3 200"]}}


def test_what_the_document_says():
    assert read_profile(DOCUMENT, "block_01", 1, 4) == Profile((2, 0, 1), ((1, 90), (0, 25)))
    assert read_profile(DOCUMENT, "block_01", 3, 4) == Profile((1, 2), ())


@pytest.mark.parametrize(("layer", "latent"), [("block_01", 0), ("block_01", 2), ("block_01", 9), ("block_02", 0)])
def test_what_is_not_there_is_none(layer, latent):
    assert read_profile(DOCUMENT, layer, latent, 4) is None
    assert read_profile(None, layer, latent, 4) is None
    assert read_profile({"layers": 3}, layer, latent, 4) is None


def test_the_card_draws_a_bar_a_bin_and_a_row_a_class():
    html = profile_html(Profile((2, 0, 1), ((1, 90), (2, 80), (0, 25))), CLASSES, latents().iloc[1])
    assert html.count("<rect") == 3
    assert re.findall(r"(\d+) images from", html) == ["2", "0", "1"]
    assert html.index("tabby") < html.index("Egyptian cat") < html.index("Chihuahua")
    assert html.count("domestic cat</span>") == 1  # both cats stand under it
    assert "90 %" in html
    assert profile_html(None, CLASSES, latents().iloc[1]) == ""
