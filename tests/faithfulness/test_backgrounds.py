from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hsae.faithfulness.backgrounds import empty_square, natural_background, natural_backgrounds
from tests.tiny_models import SIDE, PlainBackbone


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 9), st.floats(0, 0.6))
def test_the_largest_empty_square_is_as_large_as_a_search_of_all_finds(seed, height, width, density):
    mask = np.random.default_rng(seed).random((height, width)) < density
    left, top, side = empty_square(mask)
    largest = max(
        (
            n
            for n in range(1, min(height, width) + 1)
            for row in range(height - n + 1)
            for column in range(width - n + 1)
            if not mask[row : row + n, column : column + n].any()
        ),
        default=0,
    )
    assert side == largest
    assert not mask[top : top + side, left : left + side].any()


@pytest.mark.parametrize(("covered", "found"), [(0, True), (30, True), (70, False), (100, False)])
def test_a_photograph_full_of_foreground_gives_no_background(covered, found):
    mask = np.zeros((100, 100), bool)
    mask[:, :covered] = True
    assert (natural_background(Image.new("RGB", (100, 100)), mask) is not None) is found


def test_backgrounds_hold_nothing_of_what_stands_in_front():
    photo = Image.new("RGB", (100, 100), "red")
    photo.paste("blue", (0, 0, 40, 100))
    mask = np.zeros((100, 100), bool)
    mask[:, :40] = True
    background = natural_background(photo, mask)
    assert background.size == (100, 100)
    assert (np.asarray(background) == (255, 0, 0)).all()


def test_as_many_backgrounds_as_asked_for_are_made_of_as_few_photographs_as_possible(monkeypatch):
    asked = []

    def covered(square, focus):
        asked.append(square)
        return np.full((SIDE, SIDE), len(asked) == 1)

    monkeypatch.setattr("hsae.faithfulness.backgrounds.foreground_mask", covered)
    backgrounds = natural_backgrounds([Image.new("RGB", (80, 60))] * 9, PlainBackbone(), 2)
    assert [background.size for background in backgrounds] == [(SIDE, SIDE)] * 2
    assert len(asked) == 3
