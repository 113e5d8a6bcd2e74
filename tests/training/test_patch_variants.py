"""The row of an SAE of patches: on planted colours it points at objects, and without its features they are not seen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import hsae
from hsae.faithfulness.objects import observe_pasted
from tests.faithfulness.test_objects import SCENES
from tests.steering.segmentation.test_effect import COLOURS, picture
from tests.tiny_models import PlainBackbone, colour_sae
from training.patch_variants import VARIANTS, Material, measured


@pytest.fixture(scope="module")
def material(tmp_path_factory) -> Material:
    folder = Path(hsae.__file__).parent / "starter" / "photos"  # the photographs themselves: noise has no Moran's I
    backbone, photographs = PlainBackbone(), hsae.load_samples(str(folder), label_map="none").take(12)
    store = hsae.extract_activations(
        backbone, photographs, tmp_path_factory.mktemp("store") / "photographs", ["stage_1"], "patch"
    )
    pictures = [picture(1.0 + 0.1 * at) for at in range(6)]
    pasted = observe_pasted(backbone, SCENES, ["stage_1"])
    return Material(backbone, store, store, pasted, {"stage_1": COLOURS}, choice=pictures, composites=pictures)


def test_colours_point_at_objects_and_carry_them(material):
    row = measured(colour_sae(), "stage_1", material)
    assert row["target"] > 0.9 > row["random"]
    assert row["background"] < 0.1
    assert row["dead"] == 0
    assert 0 < row["fvu"] < 1
    assert row["morans_i"] > 0


def test_an_sae_of_other_directions_reconstructs_less_and_switches_nothing_off(material):
    blind = colour_sae()
    with torch.no_grad():
        blind.W_enc[:, 1:], blind.W_dec[1:] = 0, 0  # sees red alone
    row, sighted = (measured(sae, "stage_1", material) for sae in (blind, colour_sae()))
    assert row["fvu"] > sighted["fvu"]
    assert np.isnan(row["target"])


def test_every_variant_can_be_as_wide_as_asked():
    assert [replace(config, d_sae=96).width(32) for config in VARIANTS.values()] == [96] * len(VARIANTS)
