"""A session on a tiny backbone and an artifact in memory: its answers against the parts it is made of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hsae.artifacts.artifact import Artifact
from hsae.errors import ArtifactError, InputError
from hsae.probes import LinearProbe
from hsae.session import Session
from hsae.steering.edits import Edit
from tests.tiny_models import WIDTH, random_sae, tiny_dinov2

CLASSES = ("n02121808", "n02084071", "n01503061")
LAYERS = ("block_02", "block_03")


@pytest.fixture(scope="module")
def backbone():
    return tiny_dinov2()


@pytest.fixture(scope="module")
def artifact(backbone):
    saes = {layer: random_sae(seed, activation="topk", k=6) for seed, layer in enumerate(LAYERS)}
    table = pd.DataFrame({"p999": np.arange(24.0), "max": np.arange(24.0) + 1, "dead": False, "label": "thing"})
    generator = torch.Generator().manual_seed(3)
    probe = LinearProbe(
        torch.randn(WIDTH, 3, generator=generator), torch.zeros(3), torch.zeros(WIDTH), torch.ones(WIDTH)
    )
    return Artifact(
        backbone={
            "id": "tiny",
            "revision": None,
            "weights_sha256": backbone.fingerprint,
            "image_size": backbone.preprocessing.image_size,
            "token": "cls",
        },
        dataset={"id": "toy", "split": "all", "n_images": 3, "classes": list(CLASSES)},
        taxonomy={"tau": 0.5, "q": None, "nulls": []},
        saes=saes,
        latents={layer: table for layer in LAYERS},
        top_images={layer: [{"dataset": [], "starter": []}] * 24 for layer in LAYERS},
        probes={layer: probe for layer in LAYERS},
        curves={},
        tree={},
    )


@pytest.fixture
def session(artifact, backbone):
    session = Session(artifact, backbone)
    pixels = np.random.default_rng(0).integers(0, 256, (80, 60, 3), np.uint8)
    session.set_image(Image.fromarray(pixels))
    return session


def test_latents_are_the_active_ones_in_falling_order_with_their_table_row(session, artifact):
    x = session.activations("block_03")[0, 0]
    z = artifact.sae("block_03").encode(x)
    found = session.latents("block_03")
    assert sorted(found.latent) == z.nonzero().flatten().tolist()
    assert found.activation.to_numpy() == pytest.approx(z[found.latent.to_list()].detach().numpy())
    assert found.activation.is_monotonic_decreasing
    assert found.p999.to_list() == found.latent.to_list()
    for row in found.itertuples():
        assert row.strength == pytest.approx(row.activation / row.p999, nan_ok=True) or row.p999 == 0
    assert len(session.latents("block_03", top=2)) == 2


def test_classes_are_the_probes_probabilities(session, artifact):
    x = session.activations("block_03")[0, 0]
    p = torch.softmax(artifact.probe("block_03").logits(x), -1)
    found = session.classes()
    assert found.probability.sum() == pytest.approx(1)
    assert found.wnid[0] == CLASSES[int(p.argmax())]
    assert found.probability[0] == pytest.approx(p.max().item())
    assert session.classes(top=1).name[0] in ("domestic cat", "dog", "bird")


def test_a_neutral_edit_changes_nothing_and_another_one_something(session):
    latent = int(session.latents("block_02").query("p999 > 0").latent.iloc[0])
    neutral = session.steer(Edit("block_02", [{"latent": latent, "mode": "add", "amount": 0.0}]))
    assert np.array_equal(neutral.probabilities_before, neutral.probabilities_after)
    pushed = session.steer(Edit("block_02", [{"latent": latent, "mode": "add", "amount": 3.0}]))
    assert not np.allclose(pushed.probabilities_before, pushed.probabilities_after)
    assert list(pushed.classes) == list(CLASSES)


def test_relevancy_covers_the_crop_patch_by_patch(session):
    assert session.relevancy("block_03", 5).values.shape == (4, 4)
    assert session.crop.size == (56, 56)


def test_sessions_that_share_a_backbone_do_not_share_images(session):
    other = session.like()
    with pytest.raises(InputError, match="no image"):
        other.latents("block_02")
    other.set_image(Image.new("RGB", (60, 60), "red"))
    assert not torch.equal(other.activations("block_02"), session.activations("block_02"))


def test_another_backbones_weights_are_refused(artifact):
    with pytest.raises(ArtifactError, match="fingerprint"):
        Session(artifact, tiny_dinov2(seed=1))


@pytest.mark.parametrize("ask", [lambda s: s.latents("block_01"), lambda s: s.steer(Edit("block_01", []))])
def test_a_layer_the_artifact_does_not_have_is_an_error_that_lists_those_it_has(session, ask):
    with pytest.raises(InputError, match="block_02, block_03"):
        ask(session)
