"""Which patches belong to an object, and whether latents fire on it: on a backbone that sees only colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hsae.errors import InputError
from hsae.faithfulness.objects import observe_foregrounds, observe_pasted, pasted_scenes
from hsae.faithfulness.scenes import Scene
from tests.tiny_models import PlainBackbone, colour_sae, tiny_dinov2


def scene(corner: tuple[int, int], colour: str) -> Scene:
    """A square of one colour on a quarter of a red picture."""
    backbone = PlainBackbone()
    side = backbone.preprocessing.image_size
    left, top = (at * side // 2 for at in corner)
    background, mask = Image.new("RGB", (side, side), "red"), np.zeros((side, side), bool)
    image = background.copy()
    image.paste(Image.new("RGB", (side // 2, side // 2), colour), (left, top))
    mask[top : top + side // 2, left : left + side // 2] = True
    return Scene("square", image, background, mask)


SCENES = [scene(corner, colour) for corner in ((0, 0), (1, 0), (0, 1), (1, 1)) for colour in ("blue", "lime")] * 2


def test_the_colour_of_an_object_fires_on_it_and_that_of_the_background_does_not():
    seen = observe_pasted(PlainBackbone(), SCENES, ["stage_1"])
    assert seen.chance == pytest.approx(0.25)
    red, green, blue = seen.precision(colour_sae(), "stage_1")
    assert red == 0
    assert green == blue == 1


def test_scenes_are_the_same_for_a_seed_and_others_for_another():
    backbone = tiny_dinov2()
    first, again, other = (
        [np.asarray(one.image) for one in pasted_scenes(backbone, background, 2, seed)]
        for background, seed in ((None, 0), (None, 0), ("starter:photos", 1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_backbone_without_a_saliency_decoder_has_no_foregrounds():
    backbone = tiny_dinov2()
    with pytest.raises(InputError):
        observe_foregrounds(backbone, [Image.new("RGB", (56, 56))], ["block_01"])
