"""Places in a photograph: what fires at a patch, where a latent fires, and two tokens of a backbone as one session."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.segmentation import write_segmentation
from hsae.data.samples import load_samples
from hsae.errors import ArtifactError, InputError
from hsae.measures.probes import LinearProbe
from hsae.session import Session
from hsae.steering.edits import Edit
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.maps import class_map
from tests.tiny_models import WIDTH, random_sae, tiny_dinov2

CLASSES = ("n02121808", "n02084071", "n01503061")
PHOTO = "animals/abalone"
N, SIDE = 24, 4


def made(backbone, token, layers, seed, extras=None):
    """An artifact of random SAEs at some layers."""
    table = pd.DataFrame({"p999": 1.0, "max": 9.0, "dead": False, "label": "thing", "frequency": 0.1}, range(N))
    generator = torch.Generator().manual_seed(seed)

    def probe():
        weights = torch.randn(WIDTH, len(CLASSES), generator=generator)
        return LinearProbe(weights, torch.zeros(len(CLASSES)), torch.zeros(WIDTH), torch.ones(WIDTH))

    return Artifact.from_parts(
        backbone={
            "id": "tiny", "revision": None, "weights_sha256": backbone.fingerprint,
            "image_size": backbone.preprocessing.image_size, "token": token,
        },
        dataset={"id": "toy", "split": "all", "n_images": 3, "classes": list(CLASSES)},
        taxonomy={"tau": 0.5, "q": None, "nulls": []},
        saes={layer: random_sae(seed + at, d_sae=N, activation="topk", k=6) for at, layer in enumerate(layers)},
        latents=dict.fromkeys(layers, table),
        top_images=dict.fromkeys(layers, [{"dataset": [], "starter": [[PHOTO, 2.0], ["no/such", 1.0]]}] * N),
        probes={layer: probe() for layer in layers},
        curves={},
        tree={},
        extras=extras,
    )  # fmt: skip


@pytest.fixture(scope="module")
def backbone():
    return tiny_dinov2()


@pytest.fixture(scope="module")
def pair(backbone):
    return made(backbone, "cls", ("block_02", "block_03"), 0), made(backbone, "patch", ("block_01", "block_02"), 7)


@pytest.fixture
def session(pair, backbone):
    pixels = np.random.default_rng(0).integers(0, 256, (56, 56, 3), np.uint8)
    return Session(pair[0], backbone, patches=pair[1]).set_image(Image.fromarray(pixels))


def latents_by_patch(session, layer="block_02"):
    """Latents `[rows, columns, N]`, from the parts."""
    x = session.activations(layer)[0, 1:]
    return session.patches.artifact.sae(layer).encode(x).detach().numpy().reshape(SIDE, SIDE, N)


def test_the_latents_at_a_place_are_those_of_its_patches_alone(session):
    z = latents_by_patch(session)
    found = session.patches.active_latents("block_02", top=N, place=[(1, 2)])
    assert sorted(found.latent) == np.flatnonzero(z[1, 2]).tolist()
    assert found.activation.to_numpy() == pytest.approx(z[1, 2][found.latent])
    both = session.patches.active_latents("block_02", top=N, place=[(1, 2), (3, 0)])
    assert both.activation.to_numpy() == pytest.approx(np.maximum(z[1, 2], z[3, 0])[both.latent])
    assert set(found.latent) != set(session.patches.active_latents("block_02", top=N).latent)


def test_the_map_of_a_latent_has_its_value_at_every_patch(session):
    z = latents_by_patch(session)
    for latent in (0, 5, 11):
        found = session.patches.activation_map("block_02", latent)
        np.testing.assert_allclose(found.values, z[:, :, latent], rtol=1e-5)
    row, column = np.unravel_index(z[:, :, 5].argmax(), (SIDE, SIDE))
    there = session.patches.active_latents("block_02", top=N, place=[(int(row), int(column))]).set_index("latent")
    assert session.patches.activation_map("block_02", 5).values.max() == pytest.approx(there.activation[5])


def test_relevancy_of_a_place_is_that_of_the_mean_of_its_patches(session):
    x = session.activations("block_02")[0, 1:]
    pre = session.patches.artifact.sae("block_02").pre_activation(x)[:, 5].reshape(SIDE, SIDE)
    one = session.patches.relevancy("block_02", 5, place=[(1, 2)])
    two = session.patches.relevancy("block_02", 5, place=[(1, 2), (3, 0)])
    assert one.target_value == pytest.approx(pre[1, 2].item(), rel=1e-4)
    assert two.target_value == pytest.approx((pre[1, 2] + pre[3, 0]).item() / 2, rel=1e-4)
    assert not np.allclose(one.values, two.values)
    strongest = session.patches.relevancy("block_02", 5, "direct")
    assert strongest.target_value == pytest.approx(pre.max().item(), rel=1e-4)


def test_examples_are_starter_photographs_with_the_map_that_a_session_on_them_gives(session):
    (found,) = session.patches.examples("block_01", 3)
    assert (found.key, found.activation) == (PHOTO, 2.0)
    photo = next(sample.image for sample in load_samples("starter") if sample.key == PHOTO)
    there = session.patches.like().set_image(photo)
    np.testing.assert_allclose(found.map.values, there.activation_map("block_01", 3).values, rtol=1e-4, atol=1e-5)
    assert found.crop.tobytes() == there.crop.tobytes()
    (of_class_token,) = session.examples("block_02", 3)
    assert of_class_token.map is None


def test_two_tokens_share_one_backbone_and_one_forward_pass(session, backbone, monkeypatch):
    passes = []
    run = type(backbone).run
    monkeypatch.setattr(type(backbone), "run", lambda self, *of: passes.append(of) or run(self, *of))
    session.patches.set_image(Image.new("RGB", (60, 60), "red"))
    assert len(passes) == 1
    assert session.crop is session.patches.crop
    assert session.activations("block_02") is session.patches.activations("block_02")
    assert session.patches.backbone is session.backbone
    assert session.n_bytes == 3 * 17 * WIDTH * 4
    assert set(session.active_latents("block_02", top=N).latent) == set(
        torch.nonzero(session.artifact.sae("block_02").encode(session.activations("block_02")[0, 0])).flatten().tolist()
    )


def test_an_edit_of_patches_is_read_where_the_class_token_is(session, pair, backbone):
    latent = int(session.patches.active_latents("block_01", place=[(1, 2)]).latent.iloc[0])
    edit = Edit("block_01", [{"latent": latent, "mode": "add", "amount": 50.0}], scope=[6])
    found = session.patches.steer(edit)
    assert found.logits_before == pytest.approx(session.steer(Edit("block_02", [])).logits_before, abs=1e-5)
    assert not np.allclose(found.logits_after, found.logits_before)
    assert session.patches.classes().equals(session.classes())
    alone = Session(pair[1], backbone).set_image(session.crop)
    assert not np.allclose(alone.steer(edit).logits_before, found.logits_before)
    assert alone.patches is alone


def test_a_session_of_patches_says_of_the_photograph_what_the_class_token_does_at_its_last_layer(session, monkeypatch):
    assert session.patches.guesses() == session.guesses()
    dog, carnivore = "n02084071", "n02075296"
    monkeypatch.setattr(Session, "guesses", lambda _: [dog, carnivore])
    sure = {"block_02": 0.0, "block_03": 1.0}  # block_02 is the last layer of the patches
    monkeypatch.setattr(Session, "node_probabilities", lambda _, nodes: dict.fromkeys(nodes, sure))
    assert session.patches.likely_concept() == session.likely_concept() == dog


def test_patches_are_segmented_by_the_head_learned_with_their_saes_where_there_is_one(session, pair, backbone):
    weights = torch.randn(2, WIDTH, 3, generator=torch.Generator().manual_seed(5))
    heads = [PatchHead(W, torch.zeros(3), ("background", *CLASSES[:2])) for W in weights]
    documents = [{"segmentation": write_segmentation(head, {})} for head in heads]
    with_heads = (
        made(backbone, "cls", ("block_02", "block_03"), 0, documents[0]),
        made(backbone, "patch", ("block_01", "block_02"), 7, documents[1]),
    )
    push = Edit("block_01", [{"latent": 3, "mode": "add", "amount": 20.0}], scope=[6])
    side = backbone.preprocessing.image_size

    def before(main, patches):
        return Session(main, backbone, patches=patches).set_image(session.crop).patches.segment(push).before

    of_main = class_map(backbone, heads[0], session.activations("block_03"), "block_03", side)
    of_patches = class_map(backbone, heads[1], session.activations("block_02"), "block_02", side)
    np.testing.assert_array_equal(before(with_heads[0], pair[1]), of_main)
    np.testing.assert_array_equal(before(*with_heads), of_patches)
    assert not np.array_equal(of_main, of_patches)


def test_an_edit_says_which_latents_are_silent_at_the_patches_in_scope(session):
    z = latents_by_patch(session).reshape(-1, N)
    patch, silent = next((p, j) for p in range(16) for j in range(N) if z[p, j] == 0 and z[:, j].max() > 0)
    firing = int(z[patch].argmax())
    ops = [{"latent": silent, "mode": "off"}, {"latent": firing, "mode": "off"}]
    found = session.patches.steer(Edit("block_02", ops, scope=[patch]))
    assert [change.latent for change in found.silent] == [silent]
    everywhere = session.patches.steer(Edit("block_02", ops, scope="patches"))
    assert everywhere.silent == ()


def test_sessions_like_it_have_both_tokens_and_no_image(session):
    for other in (session.like(), session.patches.like()):
        assert other.patches.artifact is session.patches.artifact
        with pytest.raises(InputError, match="no image"):
            other.patches.active_latents("block_01")
    assert session.patches.like().artifact is session.patches.artifact


@pytest.mark.parametrize("place", [[], [(0, 4)], [(-1, 0)], [(0, 0), (0, 0)], [3], [(True, 0)], [(0.5, 0)], ["ab"]])
def test_a_place_outside_the_photograph_is_an_error_that_says_what_is_inside(session, place):
    with pytest.raises(InputError, match=r"at most \(3, 3\)"):
        session.patches.active_latents("block_02", place=place)


def test_a_class_token_has_no_places_and_says_where_they_are(session, pair, backbone):
    for ask in (
        lambda s: s.active_latents("block_02", place=[(0, 0)]),
        lambda s: s.activation_map("block_02", 0),
        lambda s: s.relevancy("block_02", 0, place=[(0, 0)]),
    ):
        with pytest.raises(InputError, match=r"session\.patches"):
            ask(session)
    with pytest.raises(InputError, match="patches="):
        _ = Session(pair[0], backbone).patches


def test_only_a_patch_artifact_of_the_same_backbone_goes_beside(pair, backbone):
    with pytest.raises(InputError, match="one of patch"):
        Session(pair[1], backbone, patches=pair[1])
    stranger = made(tiny_dinov2(seed=1), "patch", ("block_02",), 3)
    with pytest.raises(ArtifactError, match="fingerprint"):
        Session(pair[0], backbone, patches=stranger)


def test_a_latent_that_is_none_is_an_error(session):
    with pytest.raises(InputError, match="from 0 to 23"):
        session.patches.activation_map("block_02", N)
