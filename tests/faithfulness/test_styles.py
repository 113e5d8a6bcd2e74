"""Each style takes away what it says and leaves the rest, on pictures whose edges and colours are known."""

from __future__ import annotations

import numpy as np
from PIL import Image

from hsae.faithfulness.styles import STYLES, edges, grey, mosaic

SIDE = 224


def halves() -> Image.Image:
    """Red on the left, blue on the right."""
    pixels = np.zeros((SIDE, SIDE, 3), np.uint8)
    pixels[:, : SIDE // 2] = [255, 0, 0]
    pixels[:, SIDE // 2 :] = [0, 0, 255]
    return Image.fromarray(pixels)


def test_every_style_is_a_picture_of_the_same_size_and_always_the_same():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8))
    for style in STYLES.values():
        assert (style(picture).size, style(picture).mode) == (picture.size, "RGB")
        assert style(picture).tobytes() == style(picture).tobytes() != picture.tobytes()


def test_grey_has_the_brightness_and_no_colour():
    pixels = np.asarray(grey(halves()))
    assert (pixels == pixels[..., :1]).all()
    assert pixels[0, 0, 0] == 76  # 0.299 of red, ITU-R 601
    assert pixels[0, -1, 0] == 29  # 0.114 of blue


def test_edges_are_dark_where_brightness_changes_and_nowhere_else():
    dark = np.asarray(edges(halves()))[..., 0] < 255
    assert dark[:, SIDE // 2 - 1 : SIDE // 2 + 1].all()
    assert dark.sum() == 2 * SIDE
    assert (np.asarray(edges(Image.new("RGB", (SIDE, SIDE), "green"))) == 255).all()


def test_tiles_have_the_mean_colour_of_what_they_cover():
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8))
    tiles = np.asarray(mosaic(picture)).reshape(28, 8, 28, 8, 3)
    assert (tiles == tiles[:, :1, :, :1]).all()
    mean = np.asarray(picture).reshape(28, 8, 28, 8, 3).mean((1, 3))
    np.testing.assert_allclose(tiles[:, 0, :, 0], mean, atol=1)
