"""The square of an upload lies on what stands out."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hsae.views.page.salience import salience, salient_place
from hsae.views.page.squares import CENTRE


def scene(at: tuple[int, int] | None, size: tuple[int, int] = (400, 160)) -> Image.Image:
    """Faint noise, with a chequered disc whose centre is at a place."""
    width, height = size
    pixels = np.random.default_rng(0).normal(128, 4, (height, width, 3))
    if at is not None:
        y, x = np.mgrid[:height, :width]
        disc = (x - at[0]) ** 2 + (y - at[1]) ** 2 < 40**2
        pixels[disc] = np.where(((x // 12 + y // 12) % 2)[disc][:, None], (230, 60, 20), (250, 220, 40))
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(("x", "place"), [(50, 0), (350, 100), (200, CENTRE)])
def test_the_square_holds_the_object_of_a_wide_and_of_a_tall_picture(x: int, place: int) -> None:
    wide = scene((x, 80))
    assert salient_place(wide) == place
    assert salient_place(wide.transpose(Image.Transpose.TRANSPOSE)) == place


def test_where_nothing_stands_out_it_is_in_the_middle() -> None:
    assert salient_place(scene(None)) == CENTRE
    assert salient_place(Image.new("RGB", (300, 100), "white")) == CENTRE
    assert salient_place(scene((50, 80), (160, 160))) == CENTRE


def test_extreme_sizes_have_a_place_too() -> None:
    assert salient_place(Image.new("RGB", (4000, 1))) == CENTRE
    assert salience(Image.new("L", (64, 128))).shape == (128, 64)
