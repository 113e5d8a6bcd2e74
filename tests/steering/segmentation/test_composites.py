from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from hsae.data.samples import load_samples
from hsae.errors import InputError
from hsae.steering.segmentation.composites import Composites
from hsae.steering.segmentation.head import BACKGROUND
from hsae.steering.segmentation.kinds import KINDS, class_of
from tests.tiny_models import SIDE

CLASSES = (BACKGROUND, *KINDS)
GREEN = Image.new("RGB", (SIDE, SIDE), (0, 255, 0))


def composites(rows, seed: int = 0) -> Composites:
    return Composites(load_samples("starter:cutouts").subset(rows), CLASSES, [GREEN], seed)


def test_truth_is_exact_and_pictures_are_repeatable():
    made = composites(range(6))
    first, second = list(made.alone(2)), list(made.alone(2))
    other = list(composites(range(6), seed=1).alone(2))
    assert len(first) == 12
    labels = [class_of(sample.wnid, CLASSES) for sample in made.samples for _ in range(2)]
    for (image, truth), (again, _), label in zip(first, second, labels, strict=True):
        assert set(np.unique(truth)) == {0, label}
        background = np.asarray(image)[truth == 0]
        assert (background == (0, 255, 0)).all()
        assert image.tobytes() == again.tobytes()
    assert any(image.tobytes() != elsewhere.tobytes() for (image, _), (elsewhere, _) in zip(first, other, strict=True))


def test_two_objects_are_of_different_classes_and_do_not_overlap():
    made = composites([0, 5, 120, 200, 290])
    for image, truth in made.beside(8):
        left, right = (set(np.unique(half)) - {0} for half in np.split(truth, 2, axis=1))
        assert len(left) == len(right) == 1
        assert left != right
        assert (np.asarray(image)[truth == 0] == (0, 255, 0)).all()


def test_objects_of_one_class_cannot_stand_beside_another():
    with pytest.raises(InputError, match="two classes"):
        list(composites([0]).beside(1))


def test_cut_outs_of_no_class_are_left_out():
    plants_only = Composites(load_samples("starter:cutouts").take(6), (BACKGROUND, "n00017222"), [GREEN])
    assert list(plants_only.alone(1)) == []
