"""On a backbone whose tokens are the patches' colours, what a head sees can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.errors import InputError
from hsae.steering.editor import Editor
from hsae.steering.edits import Edit
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.maps import class_map, segment
from tests.backbones.odd_models import CAST_SIDE, noise, tiny_cast
from tests.tiny_models import PATCH, SIDE, PlainBackbone, colour_sae, random_pixels, random_sae, tiny_dinov2

COLOURS = PatchHead(torch.eye(3), torch.zeros(3), ("red", "green", "blue"))
SAES, P999 = {"stage_1": colour_sae()}, {"stage_1": np.ones(3)}


def red_with_one_green_patch() -> dict[str, torch.Tensor]:
    x = torch.tensor([[1.0, 0.2, 0.0]]).repeat(16, 1)
    x[5] = torch.tensor([0.2, 1.0, 0.0])
    return {"stage_1": x[None]}


def coloured(edit: Edit, seed: int | None = None):
    return segment(
        Editor(PlainBackbone(), SAES, P999),
        edit,
        red_with_one_green_patch(),
        COLOURS,
        "stage_1",
        seed,
    )


def test_every_pixel_has_the_class_of_the_patches_around_it():
    found = class_map(PlainBackbone(), COLOURS, red_with_one_green_patch()["stage_1"], "stage_1", SIDE)
    assert found.shape == (SIDE, SIDE)
    centres = found[PATCH // 2 :: PATCH, PATCH // 2 :: PATCH]
    assert centres.flatten().tolist() == [1 if patch == 5 else 0 for patch in range(16)]
    assert set(np.unique(found)) == {0, 1}


def test_switching_green_off_on_its_patch_turns_it_red_and_nothing_else():
    found = coloured(Edit("stage_1", [{"latent": 1, "mode": "off"}], [5]))
    assert (found.after == 0).all()
    assert found.target.sum() == PATCH**2
    assert found.target[PATCH : 2 * PATCH, PATCH : 2 * PATCH].all()
    assert found.target_changed == pytest.approx((found.before == 1)[found.target].mean())
    assert found.target_changed > 0.5
    assert found.other_changed < 0.02  # only what is interpolated at the patch's border


def test_an_edit_elsewhere_or_of_another_colour_changes_nothing():
    for edit in (
        Edit("stage_1", [{"latent": 1, "mode": "off"}], [15]),
        Edit("stage_1", [{"latent": 2, "mode": "off"}], [5]),
        Edit("stage_1", [{"latent": 1, "mode": "add", "amount": 0}], [5]),
    ):
        found = coloured(edit, seed=0)
        np.testing.assert_array_equal(found.before, found.after)
        assert found.target_changed == 0


def test_the_control_pushes_as_hard_in_another_direction():
    found = coloured(Edit("stage_1", [{"latent": 2, "mode": "add", "amount": 40.0}], [5]), seed=1)
    assert (found.after == 2)[found.target].mean() > 0.9
    assert not np.array_equal(found.after, found.control)
    target, other = found.control_changed
    assert 0 <= target <= 1
    assert other < 0.2
    with pytest.raises(InputError, match="control"):
        _ = coloured(Edit("stage_1", [], [5])).control_changed


def test_in_a_transformer_edited_patches_reach_others_by_attention():
    backbone, head = tiny_dinov2(), PatchHead(torch.randn(32, 3), torch.zeros(3), ("a", "b", "c"))
    start = backbone.run_pixels(random_pixels())
    edit = Edit("block_01", [{"latent": 3, "mode": "add", "amount": 90.0}], [0, 1, 2, 3])
    saes, refs = {"block_01": random_sae()}, {"block_01": np.ones(24)}
    found = segment(Editor(backbone, saes, refs), edit, start, head, "block_03", control_seed=0)
    assert found.target.reshape(4, PATCH, 4, PATCH).any((1, 3))[0].all()
    assert found.target.mean() == pytest.approx(0.25)
    assert found.target_changed > 0
    last = Edit("block_03", [{"latent": 3, "mode": "add", "amount": 90.0}], "cls")
    ends = Editor(backbone, {"block_03": random_sae()}, {"block_03": np.ones(24)})
    at_the_end = segment(ends, last, start, head, "block_03")
    np.testing.assert_array_equal(at_the_end.before, at_the_end.after)  # no block is left to hand it on
    assert np.isnan(at_the_end.target_changed)


def test_a_layer_of_segments_is_refused():
    backbone = tiny_cast()
    x = backbone.run_pixels(noise(CAST_SIDE), ["block_02"])["block_02"]
    head = PatchHead(torch.zeros(x.shape[-1], 2), torch.zeros(2), ("a", "b"))
    with pytest.raises(InputError, match="segments"):
        class_map(backbone, head, x, "block_02", CAST_SIDE)
