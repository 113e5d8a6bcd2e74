"""A session on a tiny backbone and an artifact in memory: its answers against the parts it is made of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.segmentation import write_segmentation
from hsae.backbones.classifier import Classifier
from hsae.data.samples import load_samples
from hsae.errors import ArtifactError, InputError, LabelError
from hsae.hierarchy import wordnet
from hsae.measures.probes import LinearProbe
from hsae.session import Session
from hsae.session.concepts import SURE
from hsae.steering.edits import Edit
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.turning import Turn
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
    table["frequency"] = 0.1
    generator = torch.Generator().manual_seed(3)
    probe = LinearProbe(
        torch.randn(WIDTH, 3, generator=generator), torch.zeros(3), torch.zeros(WIDTH), torch.ones(WIDTH)
    )
    return Artifact.from_parts(
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
    found = session.active_latents("block_03")
    assert sorted(found.latent) == z.nonzero().flatten().tolist()
    assert found.activation.to_numpy() == pytest.approx(z[found.latent.to_list()].detach().numpy())
    assert found.activation.is_monotonic_decreasing
    assert found.p999.to_list() == found.latent.to_list()
    for row in found.itertuples():
        assert row.strength == pytest.approx(row.activation / row.p999, nan_ok=True) or row.p999 == 0
    assert len(session.active_latents("block_03", top=2)) == 2


def test_classes_are_the_probes_probabilities(session, artifact):
    x = session.activations("block_03")[0, 0]
    p = torch.softmax(artifact.probe("block_03").logits(x), -1)
    found = session.classes()
    assert found.probability.sum() == pytest.approx(1)
    assert found.wnid[0] == CLASSES[int(p.argmax())]
    assert found.probability[0] == pytest.approx(p.max().item())
    assert session.classes(top=1).name[0] in ("domestic cat", "dog", "bird")


def test_a_neutral_edit_changes_nothing_and_another_one_something(session):
    latent = int(session.active_latents("block_02").query("p999 > 0").latent.iloc[0])
    neutral = session.steer(Edit("block_02", [{"latent": latent, "mode": "add", "amount": 0.0}]))
    assert np.array_equal(neutral.probabilities_before, neutral.probabilities_after)
    pushed = session.steer(Edit("block_02", [{"latent": latent, "mode": "add", "amount": 3.0}]))
    assert not np.allclose(pushed.probabilities_before, pushed.probabilities_after)
    assert list(pushed.classes) == list(CLASSES)


def active(session):
    return int(session.active_latents("block_02").query("p999 > 0").latent.iloc[0])


def push(session, amount=3.0):
    return Edit("block_02", [{"latent": active(session), "mode": "add", "amount": amount}])


def test_several_edits_are_answered_together_with_both_controls(session):
    neutral, pushed = session.steer_all([push(session, 0.0), push(session)], control_seed=0)
    for name in ("after", "control", "feature_control"):
        assert np.array_equal(getattr(neutral, f"logits_{name}"), neutral.logits_before)
        assert not np.allclose(getattr(pushed, f"logits_{name}"), pushed.logits_before)
    assert pushed.logits_after == pytest.approx(session.steer(push(session)).logits_after, abs=1e-4)


def test_the_models_own_head_may_be_asked_instead_of_the_probe(session, monkeypatch):
    with pytest.raises(InputError, match="classifier of its own"):
        session.steer(push(session), classifier="model")
    weights = torch.randn(WIDTH, 2, generator=torch.Generator().manual_seed(4))
    head = Classifier(("n02084071", "n01503061"), lambda tokens: tokens.mean(1) @ weights)
    monkeypatch.setattr(session.backbone, "classifier", head)
    found = session.steer(push(session), classifier="model")
    assert found.classes == head.classes
    assert found.logits_before == pytest.approx(head.logits(session.activations("block_03"))[0].numpy())
    assert not np.allclose(found.logits_after, found.logits_before)


def test_latents_of_later_layers_are_named_with_their_change(session, artifact):
    found = session.downstream(push(session), top=4)
    assert list(found.columns) == ["layer", "latent", "label", "before", "after", "change"]
    assert set(found.layer) == {"block_03"}
    assert found.change.abs().is_monotonic_decreasing
    row = found.iloc[0]
    assert row.change == pytest.approx((row.after - row.before) / artifact.latents("block_03").p999[row.latent])
    assert len(session.downstream(push(session, 0.0))) == 0


def test_nearest_photographs_before_and_after(session, small_starter):
    same = session.nearest(push(session, 0.0), top=3)
    assert same.before.to_list() == same.after.to_list() == session.nearest(top=3).before.to_list()
    assert same.before_cosine.is_monotonic_decreasing
    moved = session.nearest(push(session, 90.0), top=3)
    assert moved.before.to_list() == same.before.to_list()
    assert not np.allclose(moved.after_cosine, moved.before_cosine)


def test_segmentation_before_and_after_with_the_artifacts_head_or_ones_own(session, artifact, backbone):
    head = PatchHead(torch.randn(WIDTH, 3), torch.zeros(3), ("background", "n02121808", "n02084071"))
    push = Edit("block_02", [{"latent": 3, "mode": "add", "amount": 90.0}], [0, 1])
    with pytest.raises(InputError, match="patch head"):
        session.segment(push)
    found = session.segment(push, head, control_seed=0)
    assert found.before.shape == found.after.shape == session.crop.size
    assert not np.array_equal(found.before, found.after)
    assert np.isfinite(found.control_changed).all()
    parts = {name: {layer: getattr(artifact, name)(layer) for layer in LAYERS} for name in ("latents", "top_images")}
    parts |= {"saes": {n: artifact.sae(n) for n in LAYERS}, "probes": {n: artifact.probe(n) for n in LAYERS}}
    described = {"backbone": artifact.backbone, "dataset": artifact.dataset, "taxonomy": artifact.taxonomy_rule}
    extras = {"segmentation": write_segmentation(head, {})}
    own = Session(Artifact.from_parts(**parts, **described, curves={}, tree={}, extras=extras), backbone).set_image(
        session.crop
    )
    np.testing.assert_array_equal(own.segment(push).after, found.after)


def test_edits_of_another_version_are_refused(session, artifact, monkeypatch):
    monkeypatch.setattr(artifact, "sha256", "ab" * 32)
    signed = session.signed(push(session))
    assert (signed.artifact, signed.sha) == ("unsaved", "ab" * 32)
    session.steer(signed)
    session.steer(signed.of("renamed", "ababababa"))
    with pytest.raises(InputError, match="version"):
        session.steer(signed.of("unsaved", "cdcdcdc"))


def test_an_image_takes_exactly_the_activations_of_its_layers(session):
    tokens, numbers_of_four_bytes = 17, 4
    assert session.n_bytes == len(LAYERS) * tokens * WIDTH * numbers_of_four_bytes
    session.steer(push(session), control_seed=0)
    session.downstream(push(session))
    assert session.n_bytes == len(LAYERS) * tokens * WIDTH * numbers_of_four_bytes
    assert session.like().n_bytes == 0


def test_the_image_may_be_set_in_passing(session):
    assert session.set_image(Image.new("RGB", (60, 60), "red")) is session


def test_relevancy_covers_the_crop_patch_by_patch(session):
    assert session.relevancy("block_03", 5).values.shape == (4, 4)
    assert session.crop.size == (56, 56)


def test_relevancy_of_a_class_is_that_of_its_logit(session, artifact):
    maps = [session.class_relevancy(wnid, method="input_gradient").values for wnid in CLASSES]
    assert session.class_relevancy(CLASSES[0]).target_value == pytest.approx(
        artifact.probe("block_03").logits(session.activations("block_03")[0, 0])[0].item(), abs=1e-4
    )
    assert not np.allclose(maps[0], maps[1])
    with pytest.raises(InputError, match=f"one of the {len(CLASSES)}"):
        session.class_relevancy("n00000000")


def test_faithfulness_is_the_removal_curve_of_the_sessions_own_map(session):
    found = session.faithfulness("block_03", 5, "direct")
    assert found.fractions.tolist() == [0, 0.1, 0.25, 0.5, 1]
    value = session.relevancy("block_03", 5).target_value
    for curve in (found.morf, found.lerf, found.random):
        assert curve[0] == pytest.approx(value, rel=1e-3)
        assert curve[-1] == found.morf[-1] != curve[0]
    assert not np.array_equal(found.morf, session.faithfulness("block_03", 5, "direct", "mean").morf)


def test_sessions_that_share_a_backbone_do_not_share_images(session):
    other = session.like()
    with pytest.raises(InputError, match="no image"):
        other.active_latents("block_02")
    other.set_image(Image.new("RGB", (60, 60), "red"))
    assert not torch.equal(other.activations("block_02"), session.activations("block_02"))


@pytest.mark.slow
def test_a_replay_runs_as_it_is(focus, tmp_path):
    session = Session(Artifact.load("starter"))
    photo = load_samples("starter").read(0)
    latent = int(session.set_image(photo.image).active_latents("block_11").latent.iloc[0])
    edit = session.signed(Edit("block_11", [{"latent": latent, "mode": "off"}]))
    photo.image.save(tmp_path / "photo.png")
    for image in (photo.key, str(tmp_path / "photo.png")):
        names: dict = {}
        exec(edit.to_python(image), names)
        assert np.allclose(names["result"].probabilities_after, session.steer(edit).probabilities_after, atol=1e-6)
        assert not np.array_equal(names["result"].probabilities_after, names["result"].probabilities_before)


def test_another_backbones_weights_are_refused(artifact):
    with pytest.raises(ArtifactError, match="fingerprint"):
        Session(artifact, tiny_dinov2(seed=1))


@pytest.mark.parametrize("ask", [lambda s: s.active_latents("block_01"), lambda s: s.steer(Edit("block_01", []))])
def test_a_layer_the_artifact_does_not_have_is_an_error_that_lists_those_it_has(session, ask):
    with pytest.raises(InputError, match="block_02, block_03"):
        ask(session)


def test_the_former_name_of_active_latents_works_and_warns(session):
    with pytest.warns(DeprecationWarning, match="active_latents"):
        former = session.latents("block_03", top=2)
    pd.testing.assert_frame_equal(former, session.active_latents("block_03", top=2))


CARNIVORE, ANIMAL = "n02075296", "n00015388"


def test_a_node_is_as_likely_as_its_classes_together(session):
    chances = session.node_probabilities([CARNIVORE, ANIMAL])
    for layer in LAYERS:
        classes = session.classes(layer, top=3).set_index("wnid")["probability"]
        assert chances[CARNIVORE][layer] == pytest.approx(classes[["n02121808", "n02084071"]].sum(), rel=1e-5)
        assert chances[ANIMAL][layer] == pytest.approx(1)


DOG, GOLDEN_RETRIEVER = "n02084071", "n02099601"


def test_guesses_rise_from_the_likeliest_class_to_what_is_not_true_of_every_class(session):
    first = session.classes(top=1)["wnid"].iloc[0]
    guesses = session.guesses()
    assert guesses[0] == first
    counts = [session.taxonomy.leaf_count(node) for node in guesses]
    assert counts == sorted(set(counts))
    assert counts[-1] < len(session.artifact.classes)
    assert set(guesses[1:]) <= wordnet().ancestors(first)


@pytest.mark.parametrize(
    ("guesses", "chances", "said"),
    [
        ((DOG, CARNIVORE, ANIMAL), (SURE, 0.9, 1.0), DOG),
        ((DOG, CARNIVORE, ANIMAL), (SURE - 0.1, SURE + 0.1, 1.0), CARNIVORE),
        ((DOG, CARNIVORE, ANIMAL), (0.1, 0.3, 0.4), ANIMAL),
        ((DOG, CARNIVORE, ANIMAL), (0.1, 0.3, SURE), ANIMAL),
        ((GOLDEN_RETRIEVER, CARNIVORE), (0.9, 1.0), CARNIVORE),  # two words
        ((GOLDEN_RETRIEVER,), (0.3,), GOLDEN_RETRIEVER),
    ],
)
def test_what_is_said_of_an_image_has_a_plain_word_and_is_sure(session, monkeypatch, guesses, chances, said):
    by_node = dict(zip(guesses, chances, strict=True))
    other = dict.fromkeys(LAYERS[:-1], 1.0)  # what the layers before find does not matter
    monkeypatch.setattr(session, "guesses", lambda: list(guesses))
    monkeypatch.setattr(session, "once", lambda question, answer: answer())
    monkeypatch.setattr(
        session, "node_probabilities", lambda nodes: {node: other | {LAYERS[-1]: by_node[node]} for node in nodes}
    )
    assert session.likely_concept() == said


def test_unknown_nodes_are_an_error(session):
    with pytest.raises(LabelError, match="not above any"):
        session.node_probabilities(["n03793489"])
    with pytest.raises(LabelError, match="not above any"):
        session.concept_maps("n03793489")


def test_the_map_of_a_concept_explains_its_log_odds(session):
    maps = session.concept_maps(CARNIVORE)
    assert list(maps) == list(LAYERS)
    for layer, found in maps.items():
        cats, dogs, birds = session.artifact.probe(layer).logits(session.activations(layer)[0, 0]).double().tolist()
        assert found.target_value == pytest.approx(np.logaddexp(cats, dogs) - birds, rel=1e-4)
        assert found.values.shape == session.backbone.grid(layer, 56, 56)
    assert session.concept_maps(ANIMAL) == {}, "nothing speaks for or against what is always so"


def test_a_concept_at_one_layer_has_the_map_of_the_film_and_a_removal_test_of_its_own(session):
    maps = session.concept_maps(CARNIVORE)
    for layer in LAYERS:
        assert np.allclose(session.concept_relevancy(layer, CARNIVORE).values, maps[layer].values, atol=1e-5)
    other = session.concept_relevancy("block_03", CARNIVORE, "projection")
    assert not np.allclose(other.values, maps["block_03"].values, atol=1e-5)
    curve = session.concept_faithfulness("block_03", CARNIVORE)
    assert curve.morf[0] == pytest.approx(maps["block_03"].target_value, abs=1e-4)
    assert np.array_equal(session.concept_faithfulness("block_03", CARNIVORE, "projection").random, curve.random)
    assert not np.array_equal(session.concept_faithfulness("block_03", CARNIVORE, "projection").morf, curve.morf)
    with pytest.raises(InputError, match="a latent"):
        session.concept_relevancy("block_03", CARNIVORE, "activation")
    with pytest.raises(InputError):
        session.concept_relevancy("block_03", ANIMAL)


def test_a_map_is_made_once_for_an_image_and_anew_for_the_next(session):
    first, concept = session.relevancy("block_03", 5), session.concept_maps(CARNIVORE)
    assert session.relevancy("block_03", 5) is first
    assert session.relevancy("block_03", 5, "projection") is not first
    assert session.concept_maps(CARNIVORE) is concept
    session.set_image(Image.new("RGB", (60, 60), "red"))
    assert not np.array_equal(session.relevancy("block_03", 5).values, first.values)


def test_only_the_latest_answers_about_an_image_are_kept(session, monkeypatch):
    monkeypatch.setattr("hsae.session.image._MOST", 2)
    first, second, third = (session.relevancy("block_03", latent) for latent in range(3))
    assert session.relevancy("block_03", 2) is third
    assert session.relevancy("block_03", 1) is second
    assert session.relevancy("block_03", 0) is not first


def test_what_carries_a_node_adds_up_at_the_last_layer(session):
    carried = session.contributions("block_03", CLASSES[0])
    active = session.active_latents("block_03")
    assert sorted(carried.latents["latent"]) == sorted(active["latent"])
    assert carried.latents["contribution"].abs().is_monotonic_decreasing
    parts = carried.parts
    assert carried.latents["contribution"].sum() + parts.error + parts.base == pytest.approx(parts.total, abs=1e-4)
    probability = session.classes(top=3).set_index("wnid")["probability"][CLASSES[0]]
    assert 1 / (1 + np.exp(-parts.total)) == pytest.approx(probability, abs=1e-5)
    assert session.contributions("block_02", CLASSES[0]).parts.total == pytest.approx(parts.total, abs=1e-4)
    with pytest.raises(LabelError, match="n04285008"):
        session.contributions("block_03", "n04285008")


def test_a_turn_makes_a_node_likelier_or_less_likely(session):
    dog = "n02084071"
    before = session.node_probabilities([dog])[dog]["block_03"]
    for turn, sign in ((Turn(more=dog), 1), (Turn(less=dog), -1), (Turn(more=dog, less="n02121808"), 1)):
        edit = session.turn("block_03", turn, 1.0)
        moved = session.moved(dog, session.steer(edit, control_seed=0))
        assert edit.ops
        assert moved.before == pytest.approx(before, rel=1e-3)
        assert sign * np.log(moved.after / moved.before) > 1
    with pytest.raises(InputError, match="controls"):
        session.moved(dog, session.steer(edit))
    with pytest.raises(LabelError):
        session.turn("block_03", Turn(more="n04285008"), 1.0)
