"""The film says what the layers say, and dims what speaks against the concept."""

from __future__ import annotations

import base64
import re
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from hsae.relevancy import RelevancyMap
from hsae.views.tabs.concept.film import Film, film_html, mask_uri, masks_payload, settled, told

LAYERS = ("block_01", "block_02", "block_03")
HOSTILE = '"><script>alert(1)</script>'


def a_map(values) -> RelevancyMap:
    return RelevancyMap(np.array(values, dtype=np.float32), "attn_lrp", "block_01", 1.0)


def film(concept: str = "dog") -> str:
    chances = dict(zip(LAYERS, (0.0, 0.25, 0.714), strict=True))
    return film_html(Film(Image.new("RGB", (8, 8)), concept, chances), "block_02")


def test_a_frame_per_layer_with_its_number():
    frames = re.findall(r'data-value="(\w+)" aria-pressed="(\w+)" aria-label="([^"]+)"', film())
    assert [frame[:2] for frame in frames] == [("block_01", "false"), ("block_02", "true"), ("block_03", "false")]
    assert [frame[2] for frame in frames] == ["layer 01: dog 0 %", "layer 02: dog 25 %", "layer 03: dog 71 %"]


def test_words_from_outside_stay_words():
    assert "<script>" not in film(HOSTILE)


def test_the_photograph_is_sent_once():
    assert film().count("data:image/jpeg") == 1


def opened(uri: str) -> np.ndarray:
    return np.asarray(Image.open(BytesIO(base64.b64decode(uri.partition(",")[2]))))


def test_only_what_speaks_for_the_concept_stays_bright():
    alpha = opened(mask_uri(a_map([[1.0, -1.0], [0.0, 0.5]])))[..., 1]
    assert alpha[0, 0] == 255
    assert alpha[0, -1] == 0
    assert alpha[-1, 0] == 0
    assert 0 < alpha[-1, -1] < 255


def test_each_frame_has_its_own_mask():
    masks = masks_payload({"block_01": a_map([[1.0]]), "block_02": a_map([[-1.0]])})["masks"]
    assert re.findall(r"mask-image:var\(--film-mask-(\d)\)", film()) == ["0", "1", "2"]
    assert opened(masks[0])[..., 1].min() == 255
    assert opened(masks[1])[..., 1].max() == 0


@pytest.mark.parametrize(
    ("values", "layer"),
    [
        ((0.1, 0.9, 0.9), "block_02"),
        ((0.9, 0.1, 0.9), "block_03"),  # it has to stay so
        ((0.9, 0.9, 0.9), "block_01"),
        ((0.1, 0.9, 0.5), None),
    ],
)
def test_since_when_a_concept_is_there(values, layer):
    assert settled(values, LAYERS) == layer


def test_the_sentence():
    there = {"dog": (0.1, 0.2, 0.8), "mammal": (0.1, 0.8, 0.9), "animal": (0.6, 0.8, 0.9), "tool": (0.0, 0.0, 0.1)}
    chances = {name: dict(zip(LAYERS, values, strict=True)) for name, values in there.items()}
    assert told("dog", chances) == (
        "First more dog than not at layer 03. Mammal since layer 02, animal since layer 01."
    )
    together = {"dog": chances["dog"], "carnivore": chances["mammal"], "mammal": chances["mammal"]}
    assert told("dog", together) == "First more dog than not at layer 03. Carnivore and mammal since layer 02."
    assert told("tool", {"tool": chances["tool"]}) == "The last layer is not more for tool than against it."
