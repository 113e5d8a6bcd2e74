from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from PIL import Image

from hsae.commands.pairs import latents, table
from hsae.data.samples import load_samples
from hsae.faithfulness.variations import settings, variations
from hsae.measures.following import KINDS
from tests.tiny_models import SIDE, PlainBackbone, colour_sae

ARTIFACT = SimpleNamespace(id="colours", token="patch", sae=lambda layer: colour_sae())
COLOURS = ("red", "green", "blue", "grey", "black")


@pytest.fixture(scope="module")
def pictures() -> list[dict[str, Image.Image]]:
    backgrounds = [Image.new("RGB", (SIDE, SIDE), colour) for colour in COLOURS]
    samples = load_samples("starter:cutouts").subset(range(0, 290, 40))
    return [variations(*pair) for pair in settings(samples, backgrounds, 10)]


def test_latents_are_the_strongest_of_a_pictures_patches(pictures):
    z = latents(ARTIFACT, PlainBackbone(), pictures[:2], ["stage_1"])["stage_1"]
    assert list(z) == list(pictures[0])
    assert z["base"].shape == (2, 3)
    x = PlainBackbone().run([pictures[1]["grey"]])["stage_1"]
    assert z["grey"][1].tolist() == pytest.approx(x[0].clamp_min(0).amax(0).tolist())
    assert not torch.equal(torch.tensor(z["base"]), torch.tensor(z["background"]))


def test_a_row_says_whose_features_follow_what(pictures):
    (row,) = table(ARTIFACT, PlainBackbone(), pictures, ["stage_1"]).to_dict("records")
    assert (row["artifact"], row["backbone"], row["token"], row["layer"]) == ("colours", "plain", "patch", "stage_1")
    assert set(row) > {*KINDS, "kept_object", "kept_background", "kept_colour"}
    assert row["kept_pose"] > row["kept_background"]  # where a patch's colour stands means nothing to its largest value
