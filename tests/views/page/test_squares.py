"""The square of a wide photograph can be moved: what a model sees moves with it, and the link keeps it."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hsae.backbones.base import Preprocessing
from hsae.errors import InputError
from hsae.views.page.photos import Photos
from hsae.views.page.squares import PLACES, placed, split_key, square_box, squares_html


def test_a_key_says_its_photograph_and_place():
    assert split_key("animals/dog") == ("animals/dog", 50)
    assert split_key(placed("animals/dog", 25)) == ("animals/dog", 25)
    assert placed("animals/dog@25", 100) == "animals/dog@100"
    assert placed("animals/dog@25", 50) == "animals/dog"


@pytest.mark.parametrize("key", ["dog@", "dog@7", "dog@-25", "dog@025", "dog@25@x"])
def test_a_place_that_there_is_not_is_a_sentence(key):
    with pytest.raises(InputError, match="one of 0, 25"):
        split_key(key)


@pytest.mark.parametrize(("size", "sides"), [((100, 40), (0, 30)), ((40, 100), (1, 30)), ((40, 40), (0, 0))])
def test_a_square_is_as_large_as_can_be_and_inside(size, sides):
    for place in PLACES:
        left, top, right, bottom = square_box(size, place)
        assert (right - left, bottom - top) == (40, 40)
        assert left >= 0
        assert right <= size[0]
        assert bottom <= size[1]
    axis, middle = sides
    assert square_box(size)[axis] == middle
    assert square_box(size, 100)[axis] == size[axis] - 40


def test_the_model_sees_the_square_that_was_chosen():
    """Red, green and blue from left to right: the middle one by default, the others when the square moves."""
    pixels = np.zeros((20, 60, 3), dtype=np.uint8)
    for n in range(3):
        pixels[:, 20 * n : 20 * n + 20, n] = 255
    photos, seen = Photos(), Preprocessing(image_size=20)
    key = photos.add(Image.fromarray(pixels))
    for place, channel in ((0, 0), (50, 1), (100, 2)):
        crop = np.asarray(seen.crop(photos.image(placed(key, place))))
        assert crop.mean((0, 1)).argmax() == channel
        assert crop[..., channel].min() > 250


def test_a_square_of_a_photograph_that_is_gone_is_a_sentence():
    with pytest.raises(InputError, match="no longer kept"):
        Photos().image("upload-x@25")


def test_there_is_a_button_for_every_place_only_where_it_matters():
    assert squares_html((100, 60), 25).count("<button") == len(PLACES)
    assert squares_html((100, 60), 25).count('aria-pressed="true"') == 1
    assert squares_html((60, 60), 50) == ""
