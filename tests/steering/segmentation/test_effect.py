"""On a backbone whose tokens are colours, switching a colour off takes that class away and nothing else."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from hsae.steering.segmentation.carriers import Reading, class_carriers
from hsae.steering.segmentation.effect import ARMS, REGIONS, Suppression, summary
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.observed import Observed, patch_places
from tests.tiny_models import PlainBackbone, colour_sae

COLOURS = PatchHead(torch.eye(3), torch.tensor([0.5, 0.0, 0.0]), ("background", "green", "blue"))
READING = Reading(PlainBackbone(), colour_sae(), "stage_1", COLOURS, "stage_1")


def picture(strength: float) -> Observed:
    """Green in the upper row of patches, blue in the lowest, grey between."""
    x = torch.full((1, 16, 3), 0.1)
    x[0, :4, 1], x[0, 12:, 2] = strength, strength
    truth = np.array([1] * 4 + [0] * 8 + [2] * 4)[patch_places(READING.backbone, "stage_1")]
    return Observed({"stage_1": x}, truth)


def suppression(seen: list[Observed]) -> Suppression:
    return Suppression(READING, class_carriers(READING, seen), np.full(3, 0.5), COLOURS.directions(), (1,))


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    seen = [picture(1.0 + 0.1 * at) for at in range(6)]
    return suppression(seen).rows(seen)


def test_there_is_a_row_for_every_class_scope_and_arm(rows):
    assert len(rows) == 6 * 2 * 2 * len(ARMS)
    assert rows[list(REGIONS)].stack().between(0, 1).all()


def test_the_features_take_their_class_away_and_leave_the_neighbour_alone(rows):
    features = rows[rows["arm"] == "features"]
    assert features["target"].min() > 0.9
    assert features["neighbour"].max() == 0
    assert features["background"].max() < 0.1
    controls = rows.groupby("arm")["target"].mean()
    assert controls["random"] < 0.8
    assert controls["equal_rate"] < controls["features"]
    assert controls["probe"] > 0.9


def test_a_class_that_the_head_does_not_see_cannot_be_taken_away():
    assert suppression([picture(1.0)]).rows([picture(0.2)]).empty


def test_the_summary_counts_classes_once(rows):
    found = {(one["scope"], one["arm"]): one for one in summary(rows)}
    assert len(found) == 2 * len(ARMS)
    one = found["object", "features"]
    assert one["classes"] == 2
    assert one["target"]["low"] <= one["target"]["mean"] <= one["target"]["high"]
    by_class = rows[(rows["scope"] == "object") & rows["arm"].isin(["features", "random"])]
    means = by_class.groupby(["arm", "label"])["target"].mean().groupby("arm").mean()
    assert one["against"]["random"]["difference"] == pytest.approx(means["features"] - means["random"])
    assert "against" not in found["object", "random"]


def test_a_class_shown_more_often_counts_no_more(rows):
    often = pd.concat([rows, rows[rows["label"] == 1], rows[rows["label"] == 1]])
    for once, again in zip(summary(rows), summary(often), strict=True):
        assert once["target"]["mean"] == pytest.approx(again["target"]["mean"])
