from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.data.samples import load_samples
from hsae.errors import InputError
from hsae.steering.editor import Editor
from hsae.steering.segmentation.effect import specific_latents, suppression
from hsae.steering.segmentation.head import BACKGROUND, PatchHead
from hsae.steering.segmentation.kinds import KINDS, held_out, kind_of
from hsae.steering.segmentation.train import (
    CLASSES,
    pasted_scenes,
    patches,
    score_head,
    score_maps,
    train_head,
)
from tests.tiny_models import SIDE, PlainBackbone, colour_sae


def test_a_photograph_is_of_the_first_kind_above_it():
    assert kind_of("n01558993") == "n01503061"  # robin: bird
    assert kind_of("n02084071") == "n01861778"  # dog: mammal
    assert kind_of("n02206856") == "n00015388"  # bee: another animal
    assert kind_of("n02691156") == "n04524313"  # aeroplane: vehicle
    assert kind_of("n00001740") is None  # entity
    assert kind_of(None) is None


def test_the_starter_photographs_can_teach_every_kind():
    samples = load_samples("starter")
    kinds = [kind_of(samples.classes[label]) for label in samples.labels]
    counts = {kind: kinds.count(kind) for kind in KINDS}
    assert min(counts.values()) >= 10
    assert sum(counts.values()) > 0.9 * len(samples)
    kept = held_out(kinds)
    assert all(kept[[k == kind for k in kinds]].sum() == count // 4 for kind, count in counts.items())


def test_scenes_are_exact_repeatable_and_on_other_photographs():
    samples = load_samples("starter").take(6)
    first, second = (list(pasted_scenes(samples, 2, SIDE, 0)) for _ in range(2))
    assert len(first) == 12
    for (scene, label), (again, _) in zip(first, second, strict=True):
        assert label == CLASSES.index("n00015388" if "abalone" in scene.key else CLASSES[label])
        assert scene.mask.any()
        assert not scene.mask.all()
        np.testing.assert_array_equal(np.asarray(scene.image), np.asarray(again.image))
    with pytest.raises(InputError, match="two or more"):
        list(pasted_scenes(samples.take(1), 1, SIDE, 0))


def planted(n: int = 300) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Patches of scenes: background near 0, an object of class c along its own axis, on the first 5 of 16 patches."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(n) % (len(CLASSES) - 1) + 1
    x = 0.1 * torch.randn(n, 16, len(CLASSES), generator=generator)
    covered = torch.zeros(n, 16)
    covered[:, :5] = 1.0
    x[:, :5] += torch.eye(len(CLASSES))[labels][:, None]
    return x, covered, labels


def test_a_planted_truth_is_learned_and_a_shuffled_one_is_not():
    x, covered, labels = planted()
    truth = torch.where(covered >= 0.5, labels[:, None], 0)
    head = train_head(x, covered, labels)
    assert head.classes[0] == BACKGROUND
    assert (head.logits(x).argmax(-1) == truth).float().mean() > 0.97
    shuffled = train_head(x, covered, labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(1))])
    on_object = truth > 0
    assert (shuffled.logits(x).argmax(-1) == truth)[on_object].float().mean() < 0.5


def test_scores_are_those_worked_out_by_hand():
    truth = np.array([[0, 0, 1, 1], [0, 0, 1, 2]])
    found = np.array([[0, 1, 1, 1], [0, 0, 0, 2]])
    scored = score_maps([found], [truth])
    assert scored.pixel_accuracy == 6 / 8
    assert scored.object_accuracy == 3 / 4
    assert scored.iou == {CLASSES[0]: 3 / 5, CLASSES[1]: 2 / 4, CLASSES[2]: 1.0}
    assert scored.mean_iou == pytest.approx(0.7)


def bright_head() -> PatchHead:
    """Anything green is the second class: on white photographs with coloured objects it has something to see."""
    W = torch.zeros(3, len(CLASSES))
    W[1, 2] = 1.0
    return PatchHead(W, torch.zeros(len(CLASSES)), CLASSES)


def test_scenes_become_patches_and_maps_of_the_right_size():
    backbone = PlainBackbone()
    scenes = list(pasted_scenes(load_samples("starter").take(4), 1, SIDE, 0))
    x, covered, labels = patches(backbone, scenes, "stage_1")
    assert x.shape == (4, 16, 3)
    assert covered.mean(1).numpy() == pytest.approx([scene.mask.mean() for scene, _ in scenes])
    assert labels.tolist() == [label for _, label in scenes]
    scored = score_head(backbone, bright_head(), x, scenes, "stage_1")
    assert 0 <= scored.mean_iou <= scored.pixel_accuracy <= 1


def test_the_latents_of_an_object_are_those_that_fire_on_it_and_not_elsewhere():
    x = torch.tensor([[3.0, 0, 1], [3, 1, 1], [0, 2, 1], [0, 2, 1]])
    on_object = np.array([True, True, False, False])
    assert specific_latents(colour_sae(), x, on_object, 3) == [0]
    assert specific_latents(colour_sae(), x, ~on_object, 3) == [1]
    assert specific_latents(colour_sae(), x, np.ones(4, bool), 3) == []


def test_suppression_is_reported_beside_its_control():
    scenes = [scene for scene, _ in pasted_scenes(load_samples("starter").take(8), 1, SIDE, 0)]
    editor = Editor(PlainBackbone(), {"stage_1": colour_sae()}, {"stage_1": np.ones(3)})
    arguments = (bright_head(), "stage_1", 3)
    found = suppression(editor, scenes, "stage_1", *arguments)
    assert 0 < found["n_scenes"] <= 8
    difference = found["target_changed"] - found["target_changed_random"]
    assert found["target_difference"] == pytest.approx(difference)
    assert suppression(editor, [], "stage_1", *arguments) == {"n_scenes": 0}
