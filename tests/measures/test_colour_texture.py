"""Colours and stripes come out as the numbers they are; size does not count; classes are averaged in any batches."""

import numpy as np
import pytest
from PIL import Image

from hsae.measures.colour_texture import N_FEATURES, ClassMeanFitter, class_means, colour_texture


def picture(array) -> Image.Image:
    return Image.fromarray(np.asarray(array, np.uint8))


def test_a_plain_colour_has_no_spread_and_no_texture():
    found = colour_texture(Image.new("RGB", (100, 30), (255, 51, 0)))
    np.testing.assert_allclose(found, [1, 0.2, 0] + [0] * 9, atol=1e-6)
    assert found.shape == (N_FEATURES,)


def test_stripes_are_told_by_width_and_direction():
    """64 px: one pixel white, one black, across: neighbours differ by 1, second neighbours not at all."""
    stripes = picture(np.tile(np.arange(64) % 2 * 255, (64, 1)))
    across = colour_texture(stripes)[6:]
    np.testing.assert_allclose(across, [1, 0, 0, 0, 0, 0], atol=1e-6)
    down = colour_texture(stripes.rotate(90))[6:]
    np.testing.assert_allclose(down, [0, 1, 0, 0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(colour_texture(stripes)[3:6], 0.5, atol=1e-6)


def test_an_enlarged_photograph_looks_the_same():
    random = np.random.default_rng(0)
    image = picture(random.integers(0, 255, (16, 16, 3))).resize((128, 128), Image.Resampling.BICUBIC)
    large = image.resize((512, 512), Image.Resampling.BICUBIC)
    np.testing.assert_allclose(colour_texture(image), colour_texture(large), atol=0.01)


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK"])
def test_any_kind_of_image_will_do(mode):
    assert np.isfinite(colour_texture(Image.new(mode, (5, 7)))).all()


def test_class_means_are_those_of_numpy_in_any_batches():
    random = np.random.default_rng(0)
    vectors, labels = random.random((50, N_FEATURES)), random.integers(-1, 4, 50)
    fitter = ClassMeanFitter(6)
    for start in range(0, 50, 7):
        fitter.update(vectors[start : start + 7], labels[start : start + 7])
    found = fitter.compute()
    np.testing.assert_allclose(found, class_means(vectors, labels, 6))
    np.testing.assert_allclose(found[2], vectors[labels == 2].mean(0))
    assert np.isnan(found[4:]).all()
