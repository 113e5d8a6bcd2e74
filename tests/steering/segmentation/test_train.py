from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hsae.errors import InputError
from hsae.steering.segmentation.observed import observe
from hsae.steering.segmentation.train import PATCHES, Lessons, gather, train_head
from tests.tiny_models import PATCH, SIDE, PlainBackbone

CLASSES = ("background", *"abcde")


def planted(n: int = 300) -> Lessons:
    """Patches of pictures: 11 of background near 0, 5 of an object of class c along its own axis."""
    labels = torch.zeros(n, 16, dtype=torch.long)
    labels[:, :5] = (torch.arange(n) % (len(CLASSES) - 1) + 1)[:, None]
    x = 0.1 * torch.randn(n, 16, len(CLASSES), generator=torch.Generator().manual_seed(0))
    x += torch.eye(len(CLASSES))[labels] * (labels > 0)[..., None]
    return Lessons({"layer": x.flatten(0, 1)}, labels.flatten(), torch.arange(n).repeat_interleave(16))


def test_a_planted_truth_is_learned_and_a_shuffled_one_is_not():
    lessons = planted()
    head, shuffled = (train_head(some, "layer", CLASSES) for some in (lessons, lessons.shuffled(1)))
    on_object = lessons.labels > 0
    right = [(one.logits(lessons.x["layer"]).argmax(-1) == lessons.labels).float() for one in (head, shuffled)]
    assert right[0].mean() > 0.97
    assert right[1][on_object].mean() < 0.5
    assert right[1][~on_object].mean() > 0.9  # only the objects' classes were exchanged


def test_shuffling_exchanges_classes_by_picture():
    lessons = planted(40)
    other = lessons.shuffled(0)
    grid, mixed = lessons.labels.view(40, 16), other.labels.view(40, 16)
    assert (mixed[:, 5:] == 0).all()
    assert (mixed[:, :5] == mixed[:, :1]).all()
    assert sorted(mixed[:, 0].tolist()) == sorted(grid[:, 0].tolist())
    assert (mixed[:, 0] != grid[:, 0]).any()


def test_patches_are_gathered_with_their_classes():
    truth = np.zeros((SIDE, SIDE), dtype=int)
    truth[:PATCH] = 2
    picture = Image.new("RGB", (SIDE, SIDE), "black")
    picture.paste("white", (0, 0, SIDE, PATCH))
    backbone = PlainBackbone()
    lessons = gather(backbone, observe(backbone, [(picture, truth)] * 3, ["stage_1"]), ["stage_1"])
    assert len(lessons.labels) == 3 * (4 + min(12, PATCHES))
    assert lessons.pictures.bincount().tolist() == [16, 16, 16]
    bright = lessons.x["stage_1"].mean(1) > 0
    assert (lessons.labels[bright] == 2).all()
    assert (lessons.labels[~bright] == 0).all()
    with pytest.raises(InputError, match="no pictures"):
        gather(backbone, [], ["stage_1"])
