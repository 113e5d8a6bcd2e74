"""The default method on real photographs, with the real backbone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hsae.faithfulness.curves import RemovalSetting, faithfulness_curve
from hsae.relevancy import relevancy_map
from hsae.relevancy.targets import LatentTarget
from tests.tiny_models import directions_sae


@pytest.mark.slow
def test_deleting_relevant_patches_of_photographs_lowers_the_latent_most(focus, shared):
    paths = sorted((shared / "data" / "imagenet-samples").glob("*/*.jpg"))[::50]
    images = focus.pixels([Image.open(path) for path in paths])
    with torch.no_grad():
        sae = directions_sae(focus.run_pixels(images, ["block_10"])["block_10"][:, 0].clone())
    setting, gaps = RemovalSetting(fractions=(0.2,), baseline="mean"), []
    for latent, image in enumerate(images):
        found = relevancy_map(focus, sae, image, "block_10", latent)
        target = LatentTarget(sae, latent)
        curve = faithfulness_curve(focus, target, image[None], "block_10", found, setting)
        gaps.append(curve.random_gap)
    assert np.mean(gaps) > 0
    assert np.mean(np.array(gaps) > 0) >= 0.7
