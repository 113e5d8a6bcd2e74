"""Superpixels cut an image into places of one colour; labels survive the coarser map of the stem."""

import logging

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsae.backbones.superpixels import available_method, sampled, segment_means, superpixels, warn_of

METHODS = sorted({"slic", available_method()})


def two_colours(side: int = 64) -> np.ndarray:
    """Orange to the left of a line that runs through the squares the superpixels start from, blue to the right."""
    image = np.zeros((side, side, 3), np.uint8)
    image[:, :21], image[:, 21:] = (250, 150, 20), (20, 40, 200)
    return image


@pytest.mark.parametrize("method", METHODS)
def test_every_pixel_has_one_of_the_labels(method):
    image = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    found = superpixels(image, method)
    assert (found.dtype, tuple(found.shape)) == (torch.int64, (64, 96))
    assert found.min() >= 0
    assert found.max() < 4 * 6
    assert torch.equal(found, superpixels(image, method))


@pytest.mark.parametrize("method", METHODS)
def test_no_superpixel_reaches_over_an_edge(method):
    found = superpixels(two_colours(), method)
    left, right = set(found[:, :21].flatten().tolist()), set(found[:, 21:].flatten().tolist())
    assert not left & right
    squares = torch.arange(64)[:, None] // 16 * 4 + torch.arange(64) // 16
    assert set(squares[:, :21].flatten().tolist()) & set(squares[:, 21:].flatten().tolist())  # as they start


def test_one_colour_stays_the_squares_it_starts_from():
    found = superpixels(np.full((48, 32, 3), 77, np.uint8), "slic")
    assert torch.equal(found, torch.arange(48)[:, None] // 16 * 2 + torch.arange(32) // 16)


def test_segment_means_by_hand():
    x = torch.tensor([[1.0, 2.0], [3.0, 6.0], [5.0, 0.0]])
    labels = torch.tensor([2, 0, 2])
    assert segment_means(x, labels, 3).tolist() == [[3, 6], [0, 0], [3, 1]]
    assert segment_means(x, labels, 3, torch.full((3, 2), 9.0)).tolist() == [[3, 6], [9, 9], [3, 1]]


def test_a_label_between_the_places_takes_the_nearest_that_can_be_spared():
    labels = torch.zeros(16, 16, dtype=torch.int64)
    labels[1:4, 9:12] = 1  # none of the pixels (0, 0), (0, 8), (8, 0), (8, 8)
    assert sampled(labels, 8, 1).tolist() == [[0, 0], [0, 0]]
    assert sampled(labels, 8, 2).tolist() == [[0, 1], [0, 0]]
    assert sampled(labels, 8, 3).tolist() == [[2, 1], [0, 0]]  # the last label has no pixel at all
    labels[0, 8] = 1  # now it has that place itself
    labels[7:, 9:] = 2
    assert sampled(labels, 8, 3).tolist() == [[0, 1], [0, 2]]


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.integers(1, 16))
def test_no_label_is_lost(seed, count):
    labels = torch.randint(count, (32, 32), generator=torch.Generator().manual_seed(seed))
    found, plain = sampled(labels, 8, count), labels[::8, ::8]
    assert sorted(set(found.flatten().tolist())) == list(range(count))
    missing = count - len(plain.unique())
    assert int((found != plain).sum()) == missing  # nothing else changes


def test_only_the_substitute_is_warned_of(caplog):
    with caplog.at_level(logging.WARNING):
        warn_of("seeds", "cast-small")
        assert not caplog.records
        warn_of("slic", "cast-small")
    assert "cast-small was trained on SEEDS" in caplog.text
    assert "opencv-contrib-python" in caplog.text
