from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from hsae.errors import InputError, LabelError
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.probes import LinearProbe
from hsae.steering.classification import SteeringResult, steer_all
from hsae.steering.editor import Editor
from hsae.steering.edits import Edit
from hsae.steering.readout import Readout
from tests.tiny_models import PlainBackbone, colour_sae, random_pixels, random_sae, tiny_dinov2

# tabby, Persian cat, beagle, fire engine
CLASSES = ("n02123045", "n02123394", "n02088364", "n03345487")
FELINE, CARNIVORE, ROOT = "n02120997", "n02075296", "n00001740"
REFS = dict.fromkeys(("block_01", "block_02", "block_03"), np.ones(24))


@pytest.fixture(scope="module")
def backbone():
    return tiny_dinov2()


@pytest.fixture(scope="module")
def saes():
    return {f"block_0{n}": random_sae(n) for n in (1, 2, 3)}


@pytest.fixture(scope="module")
def probe():
    generator = torch.Generator().manual_seed(0)
    return LinearProbe(torch.randn(32, 4, generator=generator) / 8, torch.zeros(4), torch.zeros(32), torch.ones(32))


@pytest.fixture(scope="module")
def cached(backbone):
    return backbone.run_pixels(random_pixels())


def edit(layer="block_02", amount=3.0, scope="cls", mode="add", latent=7):
    return Edit(layer, [{"latent": latent, "mode": mode, "amount": amount}], scope)


def readout(backbone, classifier, classes=CLASSES, layer=None, token="cls"):
    return Readout(backbone, classifier, tuple(classes), layer or list(backbone.layers)[-1], token)


def steer(backbone, one, saes, p999, start, classifier, classes=CLASSES, *, layer=None, token="cls", **options):
    """`steer_all` of one edit; options: control_seed, and what else the editor knows."""
    seed = options.pop("control_seed", None)
    editor = Editor(backbone, saes, p999, **options)
    return steer_all(editor, [one], start, readout(backbone, classifier, classes, layer, token), seed)[0]


def test_before_and_after_are_the_probes_answers(backbone, saes, probe, cached):
    found = steer(backbone, edit("block_03"), saes, REFS, cached, probe, CLASSES)
    x = cached["block_03"][0, 0]
    np.testing.assert_allclose(found.logits_before, probe.logits(x), rtol=1e-5)
    moved = probe.logits(x + 3 * saes["block_03"].W_dec[7].detach())
    np.testing.assert_allclose(found.logits_after, moved, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.probabilities_after, moved.softmax(0), rtol=1e-4)
    assert found.probabilities_before.sum() == pytest.approx(1, abs=1e-6)
    assert found.delta_norm_ratio == pytest.approx(3 / x.norm().item(), rel=1e-4)
    assert found.classes == CLASSES
    assert [c.latent for c in found.changes] == [7]


@pytest.mark.parametrize("layer", REFS)
def test_a_neutral_edit_changes_no_bit(backbone, saes, probe, cached, layer):
    found = steer(backbone, edit(layer, 0.0), saes, REFS, cached, probe, CLASSES, control_seed=0)
    for name in ("after", "control"):
        np.testing.assert_array_equal(getattr(found, f"logits_{name}"), found.logits_before)
        np.testing.assert_array_equal(getattr(found, f"probabilities_{name}"), found.probabilities_before)


@pytest.mark.parametrize("start", ["pixels", "first layer", "all layers"])
def test_the_answer_does_not_depend_on_what_was_cached(backbone, saes, probe, cached, start):
    starts = {"pixels": random_pixels(), "first layer": {"block_02": cached["block_02"]}, "all layers": cached}
    found = steer(backbone, edit(), saes, REFS, starts[start], probe, CLASSES)
    expected = steer(backbone, edit(), saes, REFS, cached, probe, CLASSES)
    np.testing.assert_allclose(found.logits_before, expected.logits_before, rtol=1e-5)
    np.testing.assert_allclose(found.logits_after, expected.logits_after, rtol=1e-5)
    assert not np.array_equal(found.logits_after, found.logits_before)


def test_the_control_is_seeded_and_there_only_when_asked_for(backbone, saes, probe, cached):
    results = [steer(backbone, edit(), saes, REFS, cached, probe, CLASSES, control_seed=seed) for seed in (1, 1, 2)]
    np.testing.assert_array_equal(results[0].logits_control, results[1].logits_control)
    assert not np.array_equal(results[0].logits_control, results[2].logits_control)
    assert not np.array_equal(results[0].logits_control, results[0].logits_after)
    assert results[0].probabilities_control.sum() == pytest.approx(1, abs=1e-6)
    assert steer(backbone, edit(), saes, REFS, cached, probe, CLASSES).logits_control is None


def test_the_control_by_another_feature_moves_that_feature(backbone, saes, probe, cached):
    rates = {"block_03": np.where(np.isin(np.arange(24), (7, 11)), 0.1, 0.0)}  # so that 11 is the only other one
    options = {"control_seed": 0, "frequencies": rates}
    found = steer(backbone, edit("block_03"), saes, REFS, cached, probe, CLASSES, **options)
    moved = probe.logits(cached["block_03"][0, 0] + 3 * saes["block_03"].W_dec[11].detach())
    np.testing.assert_allclose(found.logits_feature_control, moved, rtol=1e-4, atol=1e-5)
    assert found.probabilities_feature_control.sum() == pytest.approx(1, abs=1e-6)
    plain = steer(backbone, edit("block_03"), saes, REFS, cached, probe, CLASSES, control_seed=0)
    assert plain.logits_feature_control is None


def test_several_edits_in_one_batch_are_answered_as_they_are_alone(backbone, saes, probe, cached):
    edits = [edit(), edit("block_03", scope="all"), edit(amount=0.0), edit("block_01", mode="off", amount=0)]
    together = steer_all(Editor(backbone, saes, REFS), edits, cached, readout(backbone, probe))
    for found, single in zip(together, edits, strict=True):
        alone = steer(backbone, single, saes, REFS, cached, probe, CLASSES)
        np.testing.assert_allclose(found.logits_after, alone.logits_after, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(found.logits_before, alone.logits_before)
        assert found.changes[:1] == () or found.changes[0].latent == 7
    np.testing.assert_array_equal(together[2].logits_after, together[2].logits_before)
    assert not np.allclose(together[0].logits_after, together[1].logits_after)


class MeanHead:
    """A head that reads the mean of all tokens, as a model's own may."""

    classes = CLASSES

    def __init__(self, probe):
        self.probe = probe

    def logits(self, tokens):
        return tokens.mean(1) @ self.probe.W


@pytest.mark.parametrize(("scope", "amount"), [("cls", 3.0), ([4], 3.0), ("patches", 0.0)])
def test_the_models_own_head_is_a_classifier_too(backbone, saes, probe, cached, scope, amount):
    head = MeanHead(probe)
    found = steer(backbone, edit("block_03", amount, scope), saes, REFS, cached, head, CLASSES)
    np.testing.assert_allclose(found.logits_before, head.logits(cached["block_03"])[0], rtol=1e-5)
    moved = amount * saes["block_03"].W_dec[7].detach() @ probe.W / 17
    np.testing.assert_allclose(found.logits_after, found.logits_before + moved.numpy(), atol=1e-4)
    assert found.reaches_classifier
    with pytest.raises(InputError, match="4"):
        steer(backbone, edit(), saes, REFS, cached, head, CLASSES[:3])


def test_a_head_that_cannot_see_an_edit_says_so(backbone, saes, probe, cached):
    head = MeanHead(probe)
    head.logits = lambda tokens: tokens[:, 0] @ probe.W
    assert steer(backbone, edit("block_03"), saes, REFS, cached, head, CLASSES).reaches_classifier
    assert not steer(backbone, edit("block_03", scope=[2]), saes, REFS, cached, head, CLASSES).reaches_classifier


def test_changes_are_signed(backbone, saes, probe, cached):
    found = steer(backbone, edit("block_03"), saes, REFS, cached, probe, CLASSES)
    np.testing.assert_allclose(found.logit_changes, 3 * saes["block_03"].W_dec[7].detach() @ probe.W, atol=1e-4)
    assert found.probability_changes.sum() == pytest.approx(0, abs=1e-6)
    assert found.probability_changes.min() < 0 < found.probability_changes.max()


def test_latents_beyond_anything_seen_are_flagged(backbone, saes, probe, cached):
    (change,) = steer(backbone, edit(), saes, REFS, cached, probe, CLASSES).changes
    for limit, flagged in ((change.after - 0.1, 1), (change.after + 0.1, 0)):
        maxima = {"block_02": np.full(24, limit)}
        found = steer(backbone, edit(), saes, REFS, cached, probe, CLASSES, maxima=maxima)
        assert len(found.off_distribution) == flagged


@pytest.mark.parametrize(
    ("layer", "scope", "token", "expected"),
    [
        ("block_03", "cls", "cls", True),
        ("block_03", "all", "cls", True),
        ("block_03", "patches", "cls", False),
        ("block_03", [0], "cls", False),
        ("block_02", [0], "cls", True),
        ("block_03", "cls", "mean", False),
        ("block_03", [0], "mean", True),
        ("block_03", "patches", "mean", True),
        ("block_03", "all", "mean", True),
    ],
)
def test_edits_that_cannot_reach_the_classifier_say_so(backbone, saes, probe, cached, layer, scope, token, expected):
    found = steer(backbone, edit(layer, 50.0, scope), saes, REFS, cached, probe, CLASSES, token=token)
    reached = readout(backbone, probe, token=token).reached_by(edit(layer, 50.0, scope))
    assert found.reaches_classifier is reached is expected
    assert np.array_equal(found.logits_before, found.logits_after) is not expected


def test_classes_may_be_read_at_an_earlier_layer(backbone, saes, probe, cached):
    found = steer(backbone, edit("block_01"), saes, REFS, cached, probe, CLASSES, layer="block_02")
    np.testing.assert_allclose(found.logits_before, probe.logits(cached["block_02"][0, 0]), rtol=1e-5)
    with pytest.raises(InputError, match="block_03"):
        steer(backbone, edit("block_01").then(edit("block_03")), saes, REFS, cached, probe, CLASSES, layer="block_02")


def test_maps_without_class_token_are_read_by_their_mean():
    pixels, probe = random_pixels(), LinearProbe(torch.eye(3), torch.zeros(3), torch.zeros(3), torch.ones(3))
    change, refs = edit("stage_1", 16.0, [5], latent=1), {"stage_1": np.ones(3)}
    found = steer(PlainBackbone(), change, {"stage_1": colour_sae()}, refs, pixels, probe, CLASSES[:3], token="mean")
    np.testing.assert_allclose(found.logits_after - found.logits_before, [0, 1, 0], atol=1e-5)


def test_classes_must_be_those_of_the_probe(backbone, saes, probe, cached):
    with pytest.raises(InputError, match="4"):
        steer(backbone, edit(), saes, REFS, cached, probe, CLASSES[:3])


def result(before, after, classes=CLASSES):
    before, after = (np.array(values, np.float32) for values in (before, after))
    return SteeringResult(classes, before, after, before, after, (), 0.0, (), True)


def test_mass_moves_up_the_tree_as_a_sum_over_classes():
    found = result([0.1, 0.2, 0.3, 0.4], [0.3, 0.25, 0.1, 0.35]).mass_changes(Taxonomy(CLASSES))
    assert found[FELINE] == pytest.approx(0.25, abs=1e-6)
    assert found[CLASSES[0]] == pytest.approx(0.2, abs=1e-6)
    assert found[CARNIVORE] == pytest.approx(0.05, abs=1e-6)
    assert ROOT not in found
    assert list(map(abs, found.values())) == sorted(map(abs, found.values()), reverse=True)


def test_the_order_of_classes_is_the_results_own():
    one = result([0.1, 0.2, 0.3, 0.4], [0.3, 0.25, 0.1, 0.35])
    other = result([0.4, 0.3, 0.2, 0.1], [0.35, 0.1, 0.25, 0.3], CLASSES[::-1])
    taxonomy = Taxonomy(CLASSES)
    assert one.mass_changes(taxonomy) == pytest.approx(other.mass_changes(taxonomy))


def test_small_changes_are_left_out_and_foreign_classes_refused():
    found = result([0.25] * 4, [0.255, 0.245, 0.27, 0.23])
    assert set(found.mass_changes(Taxonomy(CLASSES), 0.03)) == set()
    assert CLASSES[2] in found.mass_changes(Taxonomy(CLASSES), 0.01)
    with pytest.raises(LabelError):
        found.mass_changes(Taxonomy(CLASSES[:3]))


def test_results_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        result([1, 0, 0, 0], [1, 0, 0, 0]).classes = ()
