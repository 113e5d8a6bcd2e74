"""Features by free text: what is planted is found, and what is drawn at random is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from hsae.backbones.hf_text import load_image_and_text
from hsae.data.starter_photos import starter_image
from hsae.views.page import by_text
from hsae.views.page.by_text import Q, TextSearch
from hsae.views.page.models import Models
from hsae.views.tabs.feature.search import results_html
from tests.backbones.tiny_towers import saved_towers
from tests.views.conftest import HOSTILE, LAYERS, artifact_with

N, PHOTOS, D = 400, 60, 8
RED = [3, 14, 15, 26]
"""Photographs of something red."""


class Eyes:
    """An image and text model for which the first coordinate is how red a thing is."""

    id = "<b>eyes</b>"

    def __init__(self, seed: int = 0) -> None:
        self.vectors = np.random.default_rng(seed).normal(0, 1, (PHOTOS, D))
        self.vectors[RED, 0] = 6.0
        self.vectors /= np.linalg.norm(self.vectors, axis=1, keepdims=True)

    def images(self, images: Iterable[int]) -> np.ndarray:
        return self.vectors[list(images)]

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        return np.eye(D)[[0 if "red" in text else 1 for text in texts]]


class Opened:
    """What the search reads of a model: of `own` features some photographs, of the others four at random."""

    def __init__(self, own: dict[tuple[str, int], list[int]], seed: int = 1, short: Sequence[int] = ()) -> None:
        rng, self.top = np.random.default_rng(seed), {}
        for layer in LAYERS[:2]:
            shown = [own.get((layer, at), rng.choice(PHOTOS, 5, replace=False).tolist()) for at in range(N)]
            shown = [places[:3] if at in short else places for at, places in enumerate(shown)]
            self.top[layer] = [{"starter": [(str(place), 1.0) for place in ["no/such", *places]]} for places in shown]
        self.artifact = SimpleNamespace(layers=tuple(self.top), top_images=self.top.__getitem__)

    def latents(self, layer: str) -> pd.DataFrame:
        return pd.DataFrame({"dead": np.arange(N) == 5})


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> TextSearch:
    monkeypatch.setattr(by_text, "starter_rows", lambda: {str(place): place for place in range(PHOTOS)})
    monkeypatch.setattr(by_text, "starter_image", int)
    return TextSearch(Eyes())


def test_the_feature_that_red_things_move_is_found_by_red_and_by_nothing_else(texts):
    own = {("block_02", 7): RED, ("block_01", 5): RED, ("block_01", 9): RED}
    model = Opened(own, short=[9])  # the second is dead, the third has photographs too few
    found = texts.found(model, "red wheels")
    assert (found[0].layer, found[0].latent) == ("block_02", 7)
    assert {(one.layer, one.latent) for one in found}.isdisjoint({("block_01", 5), ("block_01", 9)})
    assert [one.q for one in found] == sorted(one.q for one in found)
    assert found[0].q < 0.01 < Q
    assert ("block_02", 7) not in {(one.layer, one.latent) for one in texts.found(model, "blue")}


def test_of_features_with_photographs_at_random_none_is_found_in_nineteen_of_twenty(texts):
    false = [bool(texts.found(Opened({}, seed), "red")) for seed in range(40)]
    assert sum(false) <= 6  # 2 are expected, and more than 6 come once in a thousand


def test_chances_are_those_of_drawing_often(texts):
    rng = np.random.default_rng(2)
    levels, places = rng.integers(0, 1000, PHOTOS), rng.choice(PHOTOS, (50, by_text.EACH))
    drawn = levels[rng.choice(places.ravel(), (200_000, by_text.EACH))].sum(1)
    found = by_text.chances(levels, places)
    for total in (500, 1500, 2000, 2500, 3000):
        assert found[total] == pytest.approx((drawn >= total).mean(), abs=0.005)
    assert found[0] == pytest.approx(1)


def test_without_photographs_nothing_is_found(texts):
    assert texts.found(Opened({}, short=range(N)), "red") == []


def test_the_page_shows_both_ways_and_no_word_of_a_stranger_as_html(texts, artifact, monkeypatch):
    model = Models([artifact_with(artifact)])["unsaved"]
    monkeypatch.setattr(texts, "found", lambda *_: [by_text.Alike(LAYERS[1], 3, 0.012)])
    html = results_html(model, f"zzz {HOSTILE}", texts)
    assert "No feature answers" in html
    assert f'data-value="{LAYERS[1]}:3"' in html
    assert "q 0.012" in html
    assert "&lt;b&gt;eyes&lt;/b&gt;" in html
    assert "<script" not in html
    monkeypatch.setattr(texts, "found", lambda *_: [])
    html = results_html(model, f"zzz {HOSTILE}", texts)
    assert "than photographs drawn at random" in html
    assert "<script" not in html
    assert "random" not in results_html(model, "zzz")  # without such a model


def test_a_real_tower_looks_at_every_photograph_once(tmp_path, monkeypatch):
    keys = ["animals/dog", "animals/elephant"]
    monkeypatch.setattr(by_text, "starter_rows", lambda: dict.fromkeys(keys, 0))
    encoder = load_image_and_text(str(saved_towers(tmp_path)))
    texts = TextSearch(encoder)
    np.testing.assert_allclose(texts.photos, encoder.images([starter_image(key) for key in keys]))
    np.testing.assert_allclose(np.linalg.norm(texts.photos, axis=1), 1)
    assert texts.name == tmp_path.name  # not where it lies on the server
