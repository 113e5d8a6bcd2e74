"""Dials of colours: pushed along red, a picture is read as the red class; a decoder that adds nothing moves nothing."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from hsae.activations.extract import extract_activations
from hsae.bench.images import open_images
from hsae.consistency.dials import Dials, dial_scores
from hsae.consistency.images import ImageSample
from hsae.consistency.models import Model, Pictures
from tests.tiny_models import SIDE, ShrinkingBackbone, colour_sae

COLOURS = {"n02123045": (170, 100, 100), "n03345487": (100, 170, 100), "n06794110": (100, 100, 170)}
"""Of a cat, a fire engine and a street sign; so far apart that no node but the root holds two of them."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A backbone of colours, with the class a picture's colour; one layer to push and one to read."""
    folder, random = tmp_path_factory.mktemp("colours"), np.random.default_rng(0)
    for wnid, colour in COLOURS.items():
        (folder / "data" / wnid).mkdir(parents=True)
        for i in range(60):
            pixels = (np.array(colour) + random.normal(0, 8, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(np.broadcast_to(pixels, (SIDE, SIDE, 3)).copy()).save(folder / "data" / wnid / f"{i}.png")
    backbone, samples = ShrinkingBackbone(), ImageSample((str(folder / "data"),)).load()
    for name, part in samples.items():
        extract_activations(backbone, part, folder / "run" / "activations" / name, "all", "mean")
    pictures = Pictures(backbone, samples, "mean")
    return Model("colours", open_images(folder / "run", {}), ("stage_1", "stage_2"), pictures=pictures)


def test_a_dial_of_its_colour_brings_a_class(model):
    found = dial_scores(model, "stage_1", colour_sae)
    assert found["steered"] >= 0.5  # of three dimensions a random direction brings one class, too
    assert found["steered_low"] <= found["steered"] <= found["steered_high"]
    assert found["steered_random"] < found["steered"]
    assert found["steered_n"] >= 15


def test_a_decoder_that_adds_nothing_brings_nothing(model):
    sae = colour_sae()
    torch.nn.init.zeros_(sae.W_dec)
    assert dial_scores(model, "stage_1", lambda: sae)["steered"] == 0


def test_photographs_are_of_other_things(model):
    dials = Dials(model, model.pictures, "stage_1", colour_sae())
    taxonomy = model.images.taxonomy
    for node in dials.nodes:
        dials.test(node)
    assert {taxonomy.nodes[node] for node in dials.nodes} >= set(COLOURS)
    (red,) = [node for node in dials.nodes if taxonomy.nodes[node] == "n02123045"]
    for seen in dials._photographs("heldout", red):
        assert seen["stage_1"].mean(1).argmax() != 0  # not a red one


def test_the_layer_that_is_read_has_no_dial_and_stores_alone_have_none(model):
    assert dial_scores(model, "stage_2", colour_sae) == {}
    assert dial_scores(replace(model, pictures=None), "stage_1", colour_sae) == {}
