"""Artifacts with the same backbone share it; everything else of them stays apart."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from PIL import Image

from hsae.artifacts.artifact import Artifact
from hsae.backbones.base import Backbone
from hsae.errors import HsaeError
from hsae.views.page.models import Models
from hsae.views.page.photos import Photos
from tests.tiny_models import SIDE, random_sae
from tests.views.conftest import LAYERS, artifact_with


def loaded(*artifacts: Artifact) -> list[Backbone]:
    """The backbones of an app's models, which are loaded at the same time."""
    models = Models(artifacts)
    models.settle(60)
    return [model.session().backbone for model in models.values()]


def test_two_artifacts_on_one_backbone_load_it_once(artifact):
    other = artifact_with(artifact, saes={name: random_sae(9, activation="relu") for name in LAYERS})
    first, second, third = loaded(artifact, other, artifact)
    assert first is second is third


def test_another_image_size_is_another_backbone(artifact):
    larger = artifact_with(artifact, backbone=artifact.backbone | {"image_size": 2 * SIDE})
    first, second = loaded(artifact, larger)
    assert (first.preprocessing.image_size, second.preprocessing.image_size) == (SIDE, 2 * SIDE)
    assert first.preprocessing == replace(second.preprocessing, image_size=SIDE)


def test_sessions_on_one_backbone_see_their_own_images_and_latents(artifact):
    other = artifact_with(artifact, saes={name: random_sae(9, activation="relu") for name in LAYERS})
    models = Models([artifact, other])
    models.settle(60)
    a, b = (model.session().like() for model in models.values())
    a.set_image(Image.new("RGB", (SIDE, SIDE), "red"))
    b.set_image(Image.new("RGB", (SIDE, SIDE), "blue"))
    assert not torch.equal(a.activations("block_03"), b.activations("block_03"))
    assert (a.artifact, b.artifact) == (artifact, other)


def test_a_backbone_that_cannot_be_had_is_everyones_own_error(artifact):
    wrong = artifact_with(artifact, backbone=artifact.backbone | {"weights_sha256": "0" * 64})
    models = Models([wrong, artifact, wrong])
    models.settle(60)
    first, second, third = models.values()
    assert second.session().backbone.fingerprint == artifact.backbone["weights_sha256"]
    for model in (first, third):
        with pytest.raises(HsaeError, match=r"could not be loaded.*fingerprint"):
            model.session()


def of_patches(artifact: Artifact, **changes: object) -> Artifact:
    """An artifact of the same backbone whose SAEs read patches."""
    saes = {name: random_sae(seed + 5, activation="topk", k=6) for seed, name in enumerate(LAYERS)}
    return artifact_with(artifact, backbone=artifact.backbone | {"token": "patch"} | changes, saes=saes)


@pytest.mark.parametrize("turned", [False, True])
def test_a_class_token_and_the_patches_of_one_backbone_are_one_model_with_two_tokens(artifact, turned):
    patches = of_patches(artifact)
    models = Models([patches, artifact] if turned else [artifact, patches])
    models.settle(60)
    (model,) = models.values()
    assert (model.artifact, model.patches.artifact) == (artifact, patches)
    assert set(models.named) == {model.name, model.patches.name}
    session = Photos().session(model, "animals/dog")
    assert session.patches.artifact is patches
    assert session.patches.backbone is session.backbone


def test_a_photograph_is_run_once_for_both_tokens(artifact):
    models, photos = Models([artifact, of_patches(artifact)]), Photos()
    models.settle(60)
    (model,) = models.values()
    assert photos.session(model.patches, "animals/dog") is photos.session(model, "animals/dog").patches


def test_patches_of_another_image_size_or_a_second_time_are_models_of_their_own(artifact):
    other = of_patches(artifact, image_size=2 * SIDE)
    assert len(Models([artifact, other])) == 2
    assert len(Models([artifact, of_patches(artifact), of_patches(artifact)])) == 2
    assert len(Models([artifact, artifact, of_patches(artifact), of_patches(artifact)])) == 2
    assert len(Models([artifact, artifact])) == 2
