"""The masks of the saliency decoder find objects whose place is known."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.backbones.focus_mask import SaliencyDecoder, foreground_mask, load_saliency_decoder, saliency
from hsae.data.samples import load_samples
from hsae.errors import BackboneError, InputError
from hsae.faithfulness.scenes import scenes
from tests.backbones.conftest import or_skip
from tests.tiny_models import random_pixels, tiny_dinov2


@pytest.fixture(scope="module")
def decoder():
    return or_skip(load_saliency_decoder)


@pytest.mark.slow
def test_masks_of_pasted_objects_lie_on_them(focus, decoder):
    chosen = list(scenes(load_samples("starter:cutouts"), 12, 224, seed=3))
    masks = [foreground_mask(scene.image, focus) for scene in chosen]

    def iou(a, b):
        return (a & b).sum() / (a | b).sum()

    found = [iou(mask, scene.mask) for mask, scene in zip(masks, chosen, strict=True)]
    other = [iou(mask, scene.mask) for mask, scene in zip(masks, chosen[1:] + chosen[:1], strict=True)]
    assert np.median(found) > 0.75
    assert np.median(other) < 0.4


def test_every_grid_of_patches_becomes_a_map_of_the_size_asked_for():
    torch.manual_seed(0)
    decoder = SaliencyDecoder().eval()
    found = decoder(torch.randn(2, 384, 3, 5), (42, 70))
    assert found.shape == (2, 42, 70)
    assert 0 <= found.min() < found.max() <= 1


def test_another_backbone_is_refused():
    backbone = tiny_dinov2()
    last = backbone.run_pixels(random_pixels())["block_03"]
    with pytest.raises(InputError, match="dinov2-small-focus"):
        saliency(backbone, last, SaliencyDecoder())


def test_a_damaged_cache_is_named(cache):
    folder = cache / "dinov2-small-focus-saliency"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"rotten")
    with pytest.raises(BackboneError, match="damaged"):
        load_saliency_decoder()
