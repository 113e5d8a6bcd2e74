from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.steering.segmentation.carriers import Reading, class_carriers, contributions, strongest
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.observed import Observed, patch_places
from tests.tiny_models import PATCH, SIDE, WIDTH, PlainBackbone, colour_sae, random_pixels, random_sae, tiny_dinov2

COLOURS = PatchHead(torch.eye(3), torch.zeros(3), ("background", "green", "blue"))


def plain() -> Reading:
    return Reading(PlainBackbone(), colour_sae(), "stage_1", COLOURS, "stage_1")


def seen(x: torch.Tensor, truth_of_patch: list[int], reading: Reading) -> Observed:
    places = patch_places(reading.backbone, reading.layer)
    return Observed({reading.layer: x}, np.array(truth_of_patch)[places])


def test_contributions_are_latents_times_their_pull_on_the_log_odds():
    x = torch.rand(1, 16, 3)
    where = np.arange(16) < 4
    found = contributions(plain(), x, 1, where)
    # d/dx of x_1 - log(exp x_0 + exp x_2), by hand
    rivals = torch.softmax(x[0, :4, [0, 2]], -1)
    pull = torch.stack([-rivals[:, 0], torch.ones(4), -rivals[:, 1]], 1)
    torch.testing.assert_close(found, (x[0, :4] * pull).mean(0))


def test_with_blocks_between_they_are_the_first_order_effect_of_switching_off():
    head = PatchHead(torch.randn(WIDTH, 4), torch.zeros(4), ("background", "a", "b", "c"))
    backbone, sae = tiny_dinov2(), random_sae()
    reading = Reading(backbone, sae, "block_01", head, "block_03")
    x = backbone.run_pixels(random_pixels(), ["block_01"])["block_01"]
    where = np.isin(np.arange(16), (2, 3, 7))
    found = contributions(reading, x, 2, where)

    def log_odds(x: torch.Tensor) -> torch.Tensor:
        logits = reading.logits(x)[0, where].double()
        return (logits[:, 2] - logits[:, [0, 1, 3]].logsumexp(1)).sum() / where.sum()

    z = sae.encode(x[:, 1:])[0, where]
    latent = int(found.abs().argmax())
    step, moved = 1e-3, x.clone()
    moved[0, 1:][where] += step * z[:, latent, None] * sae.W_dec[latent]
    with torch.no_grad():
        assert found[latent].item() == pytest.approx((log_odds(moved) - log_odds(x)).item() / step, rel=0.05)


def test_the_carrier_of_a_class_is_found_where_the_class_is():
    reading, x = plain(), torch.full((1, 16, 3), 0.1)
    x[0, :4, 1], x[0, 4:8, 2] = 2.0, 3.0
    carriers = class_carriers(reading, [seen(x, [1] * 4 + [2] * 4 + [0] * 8, reading)])
    assert strongest(carriers, 1, 1) == [1]
    assert strongest(carriers, 2, 1) == [2]
    assert strongest(carriers, 1, 3) == [1]  # the others speak against it
    assert (carriers[0] == 0).all()
    nothing = class_carriers(reading, [seen(x, [0] * 16, reading)])
    assert strongest(nothing, 1, 3) == []
    assert PATCH * 4 == SIDE
