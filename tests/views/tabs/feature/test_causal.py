"""A card tells what the causal test found, and nothing where it found nothing."""

from __future__ import annotations

import pytest

from hsae.views.tabs.feature.causal import causal_html


def document(own: object, random: float = 0.1, other: float = -0.2) -> dict:
    measures = {"feature": {"advantage": own}, "random": {"advantage": random}, "other": {"advantage": other}}
    return {"layers": {"block_01": {"features": [{"latent": 3, "set": measures}]}}}


def test_a_feature_that_moves_its_subtree_is_told_apart_from_one_that_does_not():
    assert "<b>+0.50</b>" in causal_html(document(0.5), "block_01", 3)
    assert "more than both controls" in causal_html(document(0.5), "block_01", 3)
    assert "−0.20" in causal_html(document(0.5), "block_01", 3)
    for weak in (0.05, -0.5):
        assert "no more than the controls" in causal_html(document(weak), "block_01", 3)
    assert "no more" in causal_html(document(-0.1, random=-0.2, other=-0.3), "block_01", 3)


@pytest.mark.parametrize(
    "found",
    [
        None,
        {},
        {"layers": []},
        {"layers": {"block_01": {"features": [3, None, {"latent": 3}]}}},
        document(None),
        document("x"),
    ],
)
def test_what_was_not_tested_is_not_told(found):
    assert causal_html(found, "block_01", 3) == ""
    assert causal_html(document(0.5), "block_01", 4) == ""
    assert causal_html(document(0.5), "block_02", 3) == ""
