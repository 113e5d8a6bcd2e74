"""A feature's own score is read where it was measured, and from nothing else."""

from __future__ import annotations

import pytest

from hsae.artifacts.documents.faithfulness import read_gap


@pytest.mark.parametrize(
    ("features", "gap"),
    [
        ({"latent": [1, 3], "gap": {"legrad": [0.1, 0.25]}}, 0.25),
        ({"latent": [1, 3], "gap": {"legrad": [0.1, None]}}, None),
        ({"latent": [1], "gap": {"legrad": [0.1]}}, None),
        ({"latent": [1, 3], "gap": {"legrad": [0.1]}}, None),
        ({"latent": [1, 3], "gap": {"direct": [0.1, 0.25]}}, None),
        ({"latent": 3}, None),
    ],
)
def test_the_gap_of_a_latent_is_the_one_in_its_place(features, gap):
    assert read_gap({"layers": {"block_01": {"features": features}}}, "block_01", 3, "legrad") == gap
    assert read_gap(None, "block_01", 3, "legrad") is None
