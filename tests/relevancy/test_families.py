"""Every family of backbones is explained by every method that its layers allow."""

from __future__ import annotations

import numpy as np
import pytest

from hsae.backbones.base import Preprocessing
from hsae.backbones.hf import HFBackbone, HFConvNet
from hsae.errors import InputError
from hsae.relevancy import METHODS, default_method, method_maps, relevancy_map, usable_methods
from hsae.relevancy.targets import latent_target
from hsae.relevancy.trace import record, record_direct, record_lrp
from tests.backbones.odd_models import CAST_SIDE, RESNET_SIDE, noise, tiny_cast, tiny_clip_resnet
from tests.backbones.tiny_families import CONVNETS, PREFIX, SIDE, tiny_family, tiny_pixels
from tests.tiny_models import random_sae

DEFAULTS = ["attn_lrp", "attn_lrp", "projection", "activation"]
ANYWHERE = [name for name, row in METHODS.items() if row.attention == "none"]


def family(name):
    kind = HFConvNet if name in CONVNETS else HFBackbone
    return kind(name, tiny_family(name), Preprocessing(image_size=SIDE))


@pytest.mark.parametrize("name", PREFIX)
def test_transformers_have_every_map(name):
    backbone, pixels, layer = family(name), tiny_pixels(batch=1), "block_03"
    assert usable_methods(backbone, pixels, layer) == tuple(METHODS)
    assert [default_method(backbone, layer, token) for token in ("cls", 5, "mean", "patch")] == DEFAULTS
    token = "cls" if PREFIX[name] else "mean"
    target = latent_target(backbone, random_sae(d_in=backbone.layers[layer].d_in), layer, 3, token)
    expected = target(backbone.run_pixels(pixels, [layer])[layer]).item()
    for method, (found,) in method_maps(backbone, pixels, layer, [target], METHODS).items():
        assert found.values.shape == (4, 4), method
        assert np.isfinite(found.values).all(), method
        assert found.values.any() or method in ("activation", "grad_cam"), method
        assert found.target_value == pytest.approx(expected, rel=1e-3, abs=1e-4), method


@pytest.mark.parametrize("name", [name for name in PREFIX if name not in ("dinov2", "dinov2_with_registers")])
def test_the_rules_change_the_gradient_and_not_the_value(name):
    backbone, pixels = family(name), tiny_pixels(batch=1)
    plain = record(backbone, pixels, "block_03").tokens.detach()
    for other in (record_lrp, record_direct):
        np.testing.assert_allclose(other(backbone, pixels, "block_03").tokens.detach(), plain, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", CONVNETS)
def test_convolutional_networks_have_the_maps_that_need_no_attention(name):
    backbone, pixels = family(name), tiny_pixels(batch=1)
    assert list(usable_methods(backbone, pixels, "stage_3")) == ANYWHERE
    for layer, spec in backbone.layers.items():
        for method in ANYWHERE:
            sae = random_sae(d_in=spec.d_in)
            found = relevancy_map(backbone, sae, pixels, layer, 3, method=method, token="mean")
            assert found.values.shape == backbone.grid(layer, SIDE, SIDE)
            assert found.segments is None
        assert default_method(backbone, layer, "mean") == "projection"


def test_a_clip_resnet_too():
    backbone = tiny_clip_resnet()
    for layer, spec in backbone.layers.items():
        usable = usable_methods(backbone, noise(RESNET_SIDE), layer)
        expected = ["attn_lrp", "direct", "grad_cam", "input_gradient"] if layer == "attnpool" else ANYWHERE
        assert list(usable) == expected
        assert {default_method(backbone, layer, token) for token in ("cls", "mean", "patch")} <= set(usable)
        for method in usable:
            token = "cls" if spec.n_prefix else "mean"
            sae = random_sae(d_in=spec.d_in)
            found = relevancy_map(backbone, sae, noise(RESNET_SIDE), layer, 3, method=method, token=token)
            assert found.values.shape == backbone.grid(backbone.map_layer(layer), RESNET_SIDE, RESNET_SIDE)


@pytest.mark.filterwarnings("ignore:.*superpixels.*")
def test_segments_of_cast_have_the_maps_of_their_own_layer():
    backbone, pixels, sae = tiny_cast(), noise(CAST_SIDE), random_sae(d_in=24)
    for layer in backbone.layers:
        usable = usable_methods(backbone, pixels, layer)
        assert {"activation", "projection", default_method(backbone, layer, "cls")} <= set(usable)
        for method in METHODS:
            if method not in usable:
                with pytest.raises(InputError, match="activation, projection"):
                    relevancy_map(backbone, sae, pixels, layer, 3, method=method)
                continue
            found = relevancy_map(backbone, sae, pixels, layer, 3, method=method)
            assert found.values.shape == backbone.grid(layer, CAST_SIDE, CAST_SIDE)
            assert found.upsampled(CAST_SIDE, CAST_SIDE).shape == (CAST_SIDE, CAST_SIDE)
