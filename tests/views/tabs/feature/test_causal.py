"""A card tells what the causal test found, and nothing where it found nothing."""

from __future__ import annotations

import pandas as pd
import pytest

from hsae.views.tabs.feature.causal import causal_html

CAT, DOG = "n02121808", "n02084071"
OLDER, REFUSED, KEPT = (pd.Series({"named": named, "node": CAT, "label": "x"}) for named in (-1, 0, 1))


def document(own: object, random: float = 0.1, other: float = -0.2, node: str | None = None) -> dict:
    measures = {"feature": {"advantage": own}, "random": {"advantage": random}, "other": {"advantage": other}}
    return {"layers": {"block_01": {"features": [{"latent": 3, "node": node, "set": measures}]}}}


def test_a_feature_that_moves_its_subtree_is_told_apart_from_one_that_does_not():
    assert "<b>+0.50</b>" in causal_html(document(0.5), "block_01", 3, OLDER)
    assert "more than both controls" in causal_html(document(0.5), "block_01", 3, OLDER)
    assert "−0.20" in causal_html(document(0.5), "block_01", 3, OLDER)
    for weak in (0.05, -0.5):
        assert "no more than the controls" in causal_html(document(weak), "block_01", 3, OLDER)
    assert "no more" in causal_html(document(-0.1, random=-0.2, other=-0.3), "block_01", 3, OLDER)


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
    assert causal_html(found, "block_01", 3, OLDER) == ""
    assert causal_html(document(0.5), "block_01", 4, OLDER) == ""
    assert causal_html(document(0.5), "block_02", 3, OLDER) == ""


def test_it_is_told_of_the_node_that_names_the_feature_and_of_no_other():
    assert "+0.50" in causal_html(document(0.5, node=CAT), "block_01", 3, KEPT)
    assert "+0.50" in causal_html(document(0.5, node=DOG), "block_01", 3, OLDER)
    assert causal_html(document(0.5, node=DOG), "block_01", 3, KEPT) == ""
    assert causal_html(document(0.5, node=CAT), "block_01", 3, REFUSED) == ""
