"""Only what is said to change changes."""

from __future__ import annotations

import colorsys

import numpy as np
import pytest
from PIL import Image

from hsae.data.sample import Sample
from hsae.data.samples import load_samples
from hsae.errors import InputError
from hsae.faithfulness.variations import Setting, opposite_hues, settings, variations

SIDE = 100
RED, GREEN, BLUE, GREY = (220, 40, 40), (40, 220, 40), (40, 40, 220), (128, 128, 128)


def cut_out(colour, key="object") -> Sample:
    """A rectangle, twice as high as wide, whose left half is black."""
    image = Image.new("RGB", (40, 40), "white")
    image.paste(colour, (10, 0, 30, 40))
    image.paste("black", (10, 0, 20, 40))
    mask = np.zeros((40, 40), bool)
    mask[:, 10:30] = True
    return Sample(image, key, 0, None, mask)


def setting(colour, background, corner=(0, 0)) -> Setting:
    return Setting(cut_out(colour), Image.new("RGB", (SIDE, SIDE), background), corner)


@pytest.fixture(scope="module")
def made() -> dict[str, np.ndarray]:
    pictures = variations(setting(RED, GREY), setting(BLUE, GREEN))
    return {change: np.asarray(picture) for change, picture in pictures.items()}


def has(picture: np.ndarray, colour) -> np.ndarray:
    """Where a picture has about that colour."""
    return np.abs(picture.astype(int) - colour).max(-1) < 40


def test_object_and_background_are_exchanged_alone(made):
    base, other_object, other_background = made["base"], made["object"], made["background"]
    ground = has(base, GREY)
    np.testing.assert_array_equal(other_object[ground], base[ground])
    np.testing.assert_array_equal(other_background[~ground], base[~ground])
    assert has(other_object, BLUE).any()
    assert not has(other_object, RED).any()
    assert has(other_background, GREEN)[ground].all()


def test_the_object_moves_to_the_opposite_quarter(made):
    before, after = has(made["base"], RED), has(made["place"], RED)
    assert before[:50, :50].sum() == before.sum() == after[50:, 50:].sum() == after.sum() > 0


def test_the_object_is_mirrored_where_it_stands(made):
    black, red = has(made["base"], (0, 0, 0)), has(made["base"], RED)
    np.testing.assert_array_equal(has(made["pose"], RED).any(0), black.any(0))
    np.testing.assert_array_equal(has(made["pose"], (0, 0, 0)).any(0), red.any(0))


def test_colour_is_the_objects_and_grey_is_everywhere(made):
    ground = has(made["base"], GREY)
    np.testing.assert_array_equal(made["colour"][ground], made["base"][ground])
    hue = colorsys.rgb_to_hsv(*made["colour"][has(made["base"], RED)].mean(0) / 255)[0]
    assert hue == pytest.approx(0.5, abs=0.05)
    assert np.ptp(made["grey"], axis=-1).max() == 0


def test_blur_keeps_what_is_uniform_and_takes_what_is_fine(made):
    fine = Image.fromarray(np.indices((SIDE, SIDE)).sum(0).astype(np.uint8) % 2 * 255).convert("RGB")
    striped = variations(Setting(cut_out(RED), fine, (0, 0)), setting(BLUE, GREEN))["blur"]
    assert np.asarray(striped)[60:, 60:].std() < 5
    np.testing.assert_array_equal(made["blur"][70:, 70:], made["base"][70:, 70:])


def test_grey_things_have_no_opposite_hue():
    grey = Image.new("RGB", (3, 3), GREY)
    assert opposite_hues(grey).tobytes() == grey.tobytes()
    assert np.asarray(opposite_hues(Image.new("RGB", (1, 1), RED)))[0, 0].argmin() == 0


def test_settings_are_repeatable_and_exchange_something():
    samples = load_samples("starter:cutouts").subset([0, 50, 120, 200])
    backgrounds = [Image.new("RGB", (SIDE, SIDE), colour) for colour in (RED, GREEN, BLUE)]
    first, again = (list(settings(samples, backgrounds, 12, seed=3)) for _ in range(2))
    for (one, other), (same, _) in zip(first, again, strict=True):
        assert one.sample.label != other.sample.label
        assert one.background is not other.background
        assert one.picture().tobytes() == same.picture().tobytes()
    assert {one.corner for one, _ in first} > {(0, 0)}
    for few in (samples.take(1), samples):
        with pytest.raises(InputError, match="two or more"):
            list(settings(few, backgrounds if few is not samples else backgrounds[:1], 1))
