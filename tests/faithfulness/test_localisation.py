"""Pointing game and energy against masks, by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hsae.backbones.base import nearest_cells
from hsae.data.samples import Sample, load_samples
from hsae.errors import InputError
from hsae.faithfulness.localisation import localisation
from hsae.faithfulness.scenes import blur_photo, coverage, paste, scenes

COVERED = np.array([[1.0, 0.5], [0.25, 0.0]])


def test_the_pointing_game_by_hand():
    hit = localisation(np.array([[0.0, 3], [2, 1]]), COVERED)
    assert (hit.pointing, hit.pointing_chance) == (1, 0.5)
    assert hit.energy == pytest.approx((3 * 0.5 + 2 * 0.25) / 6)
    assert hit.energy_chance == pytest.approx(1.75 / 4)
    miss = localisation(np.array([[0.0, -3], [2, 1]]), COVERED)
    assert miss.pointing == 0
    assert miss.energy == pytest.approx(2 * 0.25 / 3)
    tie = localisation(np.array([[5.0, 1], [5, 1]]), COVERED)
    assert tie.pointing == 0.5


def test_a_map_without_information_is_at_chance():
    for values in (np.zeros((2, 2)), np.full((2, 2), 3.0), np.full((2, 2), -1.0)):
        found = localisation(values, COVERED)
        assert found.pointing == found.pointing_chance
        assert found.energy == found.energy_chance
    noise = [localisation(np.random.default_rng(seed).random((2, 2)), COVERED) for seed in range(400)]
    assert np.mean([found.pointing for found in noise]) == pytest.approx(0.5, abs=0.08)
    assert np.mean([found.energy for found in noise]) == pytest.approx(1.75 / 4, abs=0.03)


def test_maps_and_masks_of_different_sizes_are_refused():
    with pytest.raises(InputError, match="6 patches"):
        localisation(np.zeros(6), COVERED)


def test_coverage_counts_the_pixels_of_every_patch():
    mask = np.zeros((4, 6), bool)
    mask[:2, :3] = mask[2, 0] = True
    np.testing.assert_allclose(coverage(mask, nearest_cells(2, 2, 4, 6), 4), [1, 0, 1 / 6, 0])
    segments = torch.tensor([[0, 0, 1, 1, 2, -1]]).expand(4, 6)
    np.testing.assert_allclose(coverage(mask, segments, 4), [5 / 8, 2 / 8, 0, 0])


def test_only_the_object_differs_between_a_scene_and_its_background():
    found = list(scenes(load_samples("starter:cutouts"), 5, 112, seed=3))
    assert len({scene.key for scene in found}) > 1
    for scene in found:
        differs = (np.asarray(scene.image, int) != np.asarray(scene.background)).any(-1)
        assert scene.image.size == (112, 112)
        assert not differs[~scene.mask].any()
        assert differs[scene.mask].mean() > 0.9
        assert 0.01 < scene.mask.mean() < 0.5
        rows, cols = np.flatnonzero(scene.mask.any(1)), np.flatnonzero(scene.mask.any(0))
        assert 0.38 * 112 < max(np.ptp(rows), np.ptp(cols)) + 1 < 0.72 * 112
    for scene, same in zip(found, scenes(load_samples("starter:cutouts"), 5, 112, seed=3), strict=True):
        assert np.array_equal(np.asarray(scene.image), np.asarray(same.image))


def test_backgrounds_have_nothing_to_recognise():
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[::2] = 255
    assert np.ptp(np.asarray(blur_photo(Image.fromarray(stripes), 64))) < 10


def test_photographs_without_a_mask_make_no_scene():
    sample = Sample(Image.new("RGB", (8, 8)), "a/b", 0, "n02084071")
    with pytest.raises(InputError, match="no mask"):
        paste(sample, Image.new("RGB", (32, 32)), np.random.default_rng(0))
    with pytest.raises(InputError, match="two or more"):
        next(scenes(load_samples("starter:cutouts").take(1), 1, 32))
