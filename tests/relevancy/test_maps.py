"""How a map is enlarged and shown, on a grid and on segments."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hsae.errors import InputError
from hsae.relevancy import METHODS, RelevancyMap, relevancy_map, usable_methods
from tests.tiny_models import SegmentBackbone, colour_sae, random_pixels, random_sae, tiny_dinov2


def test_maps_are_frozen_and_keep_their_scale():
    found = RelevancyMap(np.full((4, 4), 7.0, np.float32), "activation", "block_01", 7.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.values = None
    assert found.upsampled(9, 11).shape == (9, 11)
    np.testing.assert_allclose(found.upsampled(9, 11), 7)


def test_display_clips_a_lone_artefact():
    values = np.full((16, 16), 0.5, np.float32)
    values[0, 0], values[1, 1], values[2, 2] = 100, -0.25, 0
    shown = RelevancyMap(values, "activation", "block_01", 1.0).displayed(16, 16)
    assert (shown[0, 0], shown[5, 5], shown[1, 1], shown[2, 2]) == (1, 1, -0.5, 0)
    lone = np.zeros((16, 16), np.float32)
    lone[3, 3] = 4
    assert RelevancyMap(lone, "activation", "block_01", 1.0).displayed(16, 16).max() == 1
    assert not RelevancyMap(lone * 0, "activation", "block_01", 1.0).displayed(16, 16).any()


SEGMENTS = np.array([[0, 0, 1], [2, 1, 1], [2, 2, -1]])


def test_segments_are_painted_as_they_are_and_what_belongs_to_none_is_zero():
    painted = RelevancyMap(np.float32([[5, -2, 9]]), "direct", "block_01", 1.0, SEGMENTS)
    np.testing.assert_array_equal(painted.upsampled(3, 3), [[5, 5, -2], [9, -2, -2], [9, 9, 0]])
    np.testing.assert_array_equal(painted.upsampled(6, 6), painted.upsampled(3, 3).repeat(2, 0).repeat(2, 1))
    assert painted.displayed(3, 3).max() == pytest.approx(1)
    assert painted.displayed(3, 3).dtype == np.float32


def test_a_grid_painted_as_segments_agrees_with_the_enlarged_grid():
    backbone, pixels = tiny_dinov2(), random_pixels()
    found = relevancy_map(backbone, random_sae(), pixels, "block_02", 3)
    assert found.segments is None
    painted = dataclasses.replace(found, segments=backbone.token_map("block_02", pixels).numpy())
    for each in (found, painted):  # the middle pixel of every patch, when a patch has 15 x 15
        np.testing.assert_allclose(each.upsampled(60, 60)[7::15, 7::15], found.values, rtol=1e-4)
    coarse = torch.from_numpy(painted.upsampled(56, 56)).unflatten(0, (4, 14)).unflatten(2, (4, 14)).mean((1, 3))
    np.testing.assert_allclose(coarse, found.values, rtol=1e-5)


def test_a_layer_of_segments_has_maps_of_segments():
    backbone, pixels = SegmentBackbone(), random_pixels()
    found = relevancy_map(backbone, colour_sae(), pixels, "stage_1", 0, method="projection", token="mean")
    assert found.values.shape == (1, 3)
    np.testing.assert_array_equal(found.segments, backbone.token_map("stage_1", pixels))
    red = pixels[0, 0].numpy()
    painted = found.upsampled(*red.shape)
    for segment in range(3):
        inside = found.segments == segment
        assert painted[inside] == pytest.approx(red[inside].mean(), abs=1e-5)


def test_the_methods_that_serve_a_layer_are_those_that_do_not_fail():
    for backbone, layer in ((tiny_dinov2(), "block_02"), (SegmentBackbone(), "stage_1")):
        width = backbone.layers[layer].d_in
        usable = usable_methods(backbone, random_pixels(), layer)
        for method in METHODS:
            works = True
            try:
                relevancy_map(backbone, random_sae(d_in=width), random_pixels(), layer, 0, method=method, token="mean")
            except InputError:
                works = False
            assert works == (method in usable), method
