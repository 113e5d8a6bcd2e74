from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.observed import observe
from hsae.steering.segmentation.scores import Confusion, score_heads
from tests.tiny_models import SIDE, PlainBackbone


def test_scores_are_those_worked_out_by_hand():
    truth = np.array([[0, 0, 1, 1], [0, 0, 1, 2]])
    found = np.array([[0, 1, 1, 1], [0, 0, 0, 2]])
    scored = Confusion(("background", "a", "b", "never")).update(truth, found).compute()
    assert scored.pixel_accuracy == 6 / 8
    assert scored.object_accuracy == 3 / 4
    assert scored.iou == {"background": 3 / 5, "a": 2 / 4, "b": 1.0}
    assert scored.mean_iou == pytest.approx(0.7)


def test_pictures_count_together():
    truth, found = np.array([[0, 1]]), np.array([[1, 1]])
    both = Confusion(("background", "a")).update(truth, found).update(truth, truth).compute()
    assert both.iou == {"background": 1 / 2, "a": 2 / 3}
    assert np.isnan(Confusion(("background", "a")).compute().mean_iou)


def test_a_head_that_sees_colours_beats_one_that_says_background_everywhere():
    picture = Image.new("RGB", (SIDE, SIDE), "black")
    picture.paste("red", (0, 0, SIDE // 2, SIDE))
    truth = np.zeros((SIDE, SIDE), dtype=int)
    truth[:, : SIDE // 2] = 1
    red = PatchHead(torch.tensor([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]]), torch.zeros(2), ("background", "red"))
    backbone = PlainBackbone()
    scored = score_heads(backbone, {"head": red}, observe(backbone, [(picture, truth)], ["stage_1"]), "stage_1")
    assert scored["head"].mean_iou > 0.9
    assert scored["always_background"].object_accuracy == 0
    assert scored["always_background"].iou == {"background": 0.5, "red": 0.0}
