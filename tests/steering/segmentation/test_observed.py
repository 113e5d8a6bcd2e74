from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from hsae.steering.segmentation.observed import (
    Observed,
    observe,
    patch_places,
)
from tests.tiny_models import PATCH, SIDE, PlainBackbone


def pictures(n: int):
    generator = np.random.default_rng(0)
    for at in range(n):
        yield Image.fromarray(generator.integers(0, 255, (SIDE, SIDE, 3), np.uint8)), np.full((SIDE, SIDE), at)


def test_pictures_keep_their_order_and_truth_over_batches():
    backbone = PlainBackbone()
    seen = list(observe(backbone, pictures(19), ["stage_1"]))
    assert [one.truth[0, 0] for one in seen] == list(range(19))
    for one, (image, _) in zip(seen, pictures(19), strict=True):
        torch.testing.assert_close(one.x["stage_1"], backbone.run([image])["stage_1"])


def test_a_patch_is_of_the_class_of_most_of_its_pixels():
    truth = np.zeros((SIDE, SIDE), dtype=int)
    truth[:PATCH, :PATCH] = 3
    truth[:PATCH, PATCH : PATCH + PATCH // 2 - 1] = 3  # not half of the second patch
    truth[PATCH : 2 * PATCH, : PATCH // 2 + 1] = 5  # more than half of the fifth
    one = Observed({}, truth)
    found = one.patch_classes(patch_places(PlainBackbone(), "stage_1"))
    assert found.tolist() == [3, 0, 0, 0, 5, *[0] * 11]
