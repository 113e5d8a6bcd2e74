"""Segmentation maps say in words and colours what changed."""

from __future__ import annotations

import numpy as np
from PIL import Image

from hsae.steering.segmentation.maps import Segmentation
from hsae.views.tabs.steer.segmentation import class_colours, segmentation_html
from tests.views.conftest import HOSTILE

CLASSES = ("background", "n02084071", HOSTILE)


def made(control: bool) -> Segmentation:
    before, after, target = np.zeros((4, 4), int), np.zeros((4, 4), int), np.zeros((4, 4), bool)
    before[:2], target[:2, :2] = 1, True
    after[0] = 1
    return Segmentation(CLASSES, before, after, before if control else None, target)


def test_the_words_count_pixels_inside_and_outside():
    html = segmentation_html(Image.new("RGB", (8, 8)), made(True), moved=True)
    assert "50 % of the pushed patches, 17 % of the rest" in html
    assert "A random push of the same length: 0 % and 0 %" in html
    assert "Segmentation before: background 50 %, dog 50 %" in html
    assert "Segmentation after: background 75 %, dog 25 %" in html
    assert "Move a slider" in segmentation_html(Image.new("RGB", (8, 8)), made(False), moved=False)


def test_only_classes_that_are_there_are_in_the_legend():
    html = segmentation_html(Image.new("RGB", (8, 8)), made(False), moved=True)
    assert html.count("<i style") == 2
    assert HOSTILE not in html


def test_every_class_has_its_own_colour_and_the_background_is_black():
    colours = class_colours((*(f"c{at}" for at in range(10)), "background"))
    assert len({tuple(colour) for colour in colours.tolist()}) == 11
    assert colours[-1].tolist() == [0, 0, 0]
