"""What a selection stands for: the features of a photograph, their names and how far to trust them."""

from __future__ import annotations

import pytest

from hsae.views.page.desk import feature_name, has_name, significance
from tests.views.conftest import latents
from tests.views.test_tabs import row


@pytest.mark.parametrize(
    ("known", "marks"),
    [
        ({}, ""), ({"q_value": 0.0004}, "★★★"), ({"q_value": 0.004}, "★★"), ({"q_value": 0.04}, "★"),
        ({"q_value": 0.05}, "?"), ({"q_value": 0.0004, "best_node_f1": 0.0}, "?"), ({"best_node_f1": 0.3}, ""),
    ],
)  # fmt: skip
def test_marks_say_how_far_to_trust_a_name(known, marks):
    assert significance(row(2).fillna(known)) == marks


def test_a_latent_without_a_class_is_named_by_its_number():
    assert feature_name(row(7), 7) == "no clear class (7)"
    assert feature_name(row(2), 2) == "carnivore"
    assert has_name(latents()).nonzero()[0].tolist() == [1, 2, 3]


def test_the_model_opens_at_the_layer_with_most_features_beyond_chance(desk):
    model = desk.models["unsaved"]
    assert model.best_layer == "block_02"  # nothing tested: the best probe
    model.artifact.curves["block_01"]["n_significant"] = 3
    try:
        assert model.best_layer == "block_01"
    finally:
        del model.artifact.curves["block_01"]["n_significant"]
