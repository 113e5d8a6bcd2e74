"""Removal curves on a model whose answers follow by hand, on a random DINOv2, and by properties."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hsae.errors import InputError
from hsae.faithfulness.curves import RemovalSetting, faithfulness_curve, faithfulness_curves, removal_orders
from hsae.faithfulness.removal import blur, read_without
from hsae.relevancy import RelevancyMap, relevancy_map
from hsae.relevancy.targets import LatentTarget
from tests.tiny_models import (
    PATCH,
    SIDE,
    MaskedBackbone,
    PlainBackbone,
    colour_sae,
    random_pixels,
    random_sae,
    tiny_dinov2,
    tiny_model,
)

RED = torch.arange(1.0, 17).view(4, 4)  # patch p gives the class token RED_p / 17, and nothing once it is masked
NONE = np.zeros((1, 16), bool)


def picture(red):
    channels = torch.stack([torch.as_tensor(red), torch.zeros(4, 4), torch.zeros(4, 4)]).float()
    return channels.repeat_interleave(PATCH, 1).repeat_interleave(PATCH, 2)[None]


def as_map(values, method="truth"):
    return RelevancyMap(np.asarray(values, np.float32).reshape(4, 4), method, "block_01", 0.0)


def curve_of(values, red=RED, **options):
    target, pixels = LatentTarget(colour_sae(), 0), picture(red)
    options = {"fractions": (0.25, 0.5), "baseline": "mask"} | options
    return faithfulness_curve(MaskedBackbone(), target, pixels, "block_01", as_map(values), RemovalSetting(**options))


def test_curves_of_the_true_map_by_hand():
    found = curve_of(RED)
    assert found.fractions.tolist() == [0, 0.25, 0.5, 1]
    # 1 + .. + 16 = 136; the 4 largest are 58 and the 8 largest 100; the 4 smallest are 10 and the 8 smallest 36.
    np.testing.assert_allclose(found.morf, np.array([136, 78, 36, 0]) / 17, rtol=1e-5)
    np.testing.assert_allclose(found.lerf, np.array([136, 126, 100, 0]) / 17, rtol=1e-5)
    areas = {"morf": 0.25 * 107 + 0.25 * 57 + 0.5 * 18, "lerf": 0.25 * 131 + 0.25 * 113 + 0.5 * 50}
    assert found.lost == pytest.approx(8)
    assert found.deletion == pytest.approx(areas["morf"] / 136)
    assert found.insertion == pytest.approx(areas["lerf"] / 136)
    assert found.gap == pytest.approx((areas["lerf"] - areas["morf"]) / 136)
    assert 0 < found.random_gap < found.gap


def test_the_true_map_beats_chance_and_chance_beats_its_inverse():
    true, inverse = curve_of(RED), curve_of(-RED)
    noise = [curve_of(np.random.default_rng(seed).random(16)).gap for seed in range(30)]
    assert true.gap > max(noise)
    assert inverse.gap < min(noise)
    assert inverse.gap == pytest.approx(-true.gap)
    assert abs(np.mean(noise)) < 3 * np.std(noise) / np.sqrt(30)


@settings(max_examples=25)
@given(arrays(np.float32, 16, elements=st.integers(0, 50).map(np.float32)), st.integers(0, 5))
def test_curves_of_positive_parts_fall_and_the_true_map_is_the_envelope(red, seed):
    found = curve_of(red, red.reshape(4, 4), fractions=(0.1, 0.3, 0.5, 0.8), seed=seed)
    for values in (found.morf, found.lerf, found.random):
        assert (np.diff(values) <= 1e-5).all()
    assert (found.morf <= found.random + 1e-5).all()
    assert (found.random <= found.lerf + 1e-5).all()


def test_nothing_to_lose_has_no_score():
    assert np.isnan(curve_of(RED, torch.zeros(4, 4)).gap)


def test_a_latent_that_patches_hold_down_has_negative_loss_and_the_same_sign_of_gap():
    found = curve_of(-RED, -RED)  # the most relevant is what keeps it up most, here the least harmful
    assert found.lost == pytest.approx(-8)
    assert found.gap > 0


def test_orders_are_stable_and_each_others_inverse():
    morf, lerf = removal_orders(np.array([[1.0, 3], [3, 2]]))
    assert (morf.tolist(), lerf.tolist()) == ([1, 2, 3, 0], [0, 3, 2, 1])


def test_several_targets_and_maps_share_passes_and_get_what_they_would_get_alone(monkeypatch):
    backbone, sae, pixels = tiny_dinov2(), random_sae(), random_pixels()
    targets = [LatentTarget(sae, latent) for latent in (3, 5)]
    maps = {latent: relevancy_map(backbone, sae, pixels, "block_02", latent) for latent in (3, 5)}
    alone = [[faithfulness_curve(backbone, t, pixels, "block_02", m) for m in maps.values()] for t in targets]
    images, embed = [], backbone.embed
    monkeypatch.setattr(backbone, "embed", lambda pixels: images.extend(pixels) or embed(pixels))
    together = faithfulness_curves(backbone, targets, pixels, "block_02", maps)
    assert len(images) == 2 * 2 * 3 + 3 + 3
    for row, expected in zip(together, alone, strict=True):
        for curve, same in zip(row.values(), expected, strict=True):
            for name in ("fractions", "morf", "lerf", "random"):
                np.testing.assert_allclose(getattr(curve, name), getattr(same, name), rtol=1e-4, atol=1e-5)


def test_the_mask_token_is_transformers_own():
    removed = np.random.default_rng(0).random((3, 16)) < 0.5
    pixels, sae = random_pixels(), random_sae()
    found = read_without(tiny_dinov2(), [LatentTarget(sae, 3)], pixels, "block_03", removed, "mask")[0]
    with torch.no_grad():
        output = tiny_model()(
            pixels.expand(3, -1, -1, -1), bool_masked_pos=torch.from_numpy(removed), output_hidden_states=True
        )
        expected = LatentTarget(sae, 3)(output.hidden_states[3])
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("baseline", ["mean", "blur"])
def test_removed_patches_show_the_baseline_and_the_others_themselves(baseline):
    removed, pixels = np.zeros((1, 16), bool), random_pixels()
    removed[0, [2, 7]] = True
    targets = [LatentTarget(colour_sae(), 0, token=place, n_prefix=0) for place in range(16)]
    found = read_without(PlainBackbone(), targets, pixels, "stage_1", removed, baseline)[:, 0]
    instead = pixels.mean((2, 3), keepdim=True).expand_as(pixels) if baseline == "mean" else blur(pixels)
    parts = [
        x[0, 0].unflatten(0, (4, PATCH)).unflatten(2, (4, PATCH)).mean((1, 3)).flatten() for x in (pixels, instead)
    ]
    np.testing.assert_allclose(found, torch.where(torch.from_numpy(removed[0]), parts[1], parts[0]), atol=1e-5)


def test_blur_keeps_plain_colours_and_what_it_averages():
    plain = torch.full((1, 3, 40, 60), 0.7)
    torch.testing.assert_close(blur(plain), plain)
    dot = torch.zeros(1, 3, 41, 41)
    dot[0, :, 20, 20] = 1
    spread = blur(dot)[0, 0]
    assert spread.sum().item() == pytest.approx(1, abs=0.01)
    ys = torch.arange(41.0) - 20
    assert (spread.sum(1) @ ys**2).sqrt().item() == pytest.approx(41 / 8, rel=0.05)
    assert torch.equal(spread, spread.T.flip(0)) or torch.allclose(spread, spread.T.flip(0), atol=1e-6)


def test_the_strongest_patch_stays_the_one_of_the_whole_image():
    pixels, sae = random_pixels(), colour_sae()
    strongest = int(PlainBackbone().run_pixels(pixels)["stage_1"][0, :, 0].argmax())
    removed = np.zeros((1, 16), bool)
    removed[0, strongest] = True
    by_place, by_name = (LatentTarget(sae, 0, token=token, n_prefix=0) for token in (strongest, "patch"))
    found = read_without(PlainBackbone(), [by_place, by_name], pixels, "stage_1", removed, "mean")
    assert found[0] == found[1] < read_without(PlainBackbone(), [by_name], pixels, "stage_1", NONE, "mean")[0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fractions": ()}, "rising"),
        ({"fractions": (0.5, 0.25)}, "rising"),
        ({"fractions": (0.0, 0.5)}, "rising"),
        ({"baseline": "black"}, "blur, mean or mask"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, message):
    with pytest.raises(InputError, match=message):
        curve_of(RED, **options)


def test_a_backbone_without_mask_token_says_so():
    target = LatentTarget(colour_sae(), 0, token="mean", n_prefix=0)
    with pytest.raises(InputError, match="no mask token"):
        read_without(PlainBackbone(), [target], torch.zeros(1, 3, SIDE, SIDE), "stage_1", NONE, "mask")
