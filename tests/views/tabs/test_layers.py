"""The tab of all layers: nodes by height beside chance and probe, and the scoreboard as it was written."""

from __future__ import annotations

import pandas as pd

from hsae.artifacts.documents.scoreboard import write_scoreboard
from hsae.views.tabs.layers.nodes import nodes_html
from hsae.views.tabs.layers.scoreboard import scoreboard_html
from tests.views.conftest import HOSTILE

LAYERS = ("block_01", "block_02")
TREE = {
    "nodes": [["n02123045", 0, 1], ["n02121808", 1, 2], ["n02075296", 4, 3]],
    "node_scores": {"block_02": {"ap_gain": [0.5, 0.25, None], "chance": [0.1, 0.1, 0.1], "probe_ap_gain": [1, 0.5]}},
}
ROWS = pd.DataFrame(
    {
        "layer": ["block_02", "block_02", "block_01"], "name": ["topk", f"k-means {HOSTILE}", "ward"],
        "R": [0.12, 0.41, None], "R_low": [0.1, -0.2, None], "R_high": [0.14, 0.5, None], "l0": [64, None, None],
        "n": [1536, 1536, 768],
        "first_true": [0.5, 0.25, None],
    }
)  # fmt: skip


def test_nodes_are_shown_by_height_with_what_was_measured():
    html = nodes_html(TREE, LAYERS, "block_02")
    assert html.count("<figure") == 3  # of height 4 and up only chance is known
    assert "block_02: best feature 0.5, best by chance 0.1" in html
    assert "a probe" not in html.partition("hsae-hint")[0]  # its list does not fit the nodes
    assert nodes_html({}, LAYERS, "block_02") == ""


def test_the_scoreboard_has_the_best_first_and_leaves_out_what_nobody_has():
    document = write_scoreboard(ROWS, {})
    html = scoreboard_html(document, LAYERS, "block_02")
    assert html.index("k-means") < html.index("topk")
    assert "−0.20 to 0.50" in html
    assert "first name true" in html
    assert "<td>1536</td>" in html
    assert "NodeAP</th>" not in html
    assert "<script" not in html
    assert "ward" not in html
    assert "–" in scoreboard_html(document, LAYERS, "block_01")


def test_a_layer_that_was_not_measured_leads_to_those_that_were():
    document = write_scoreboard(ROWS, {})
    assert 'data-value="block_02"' in scoreboard_html(document, (*LAYERS, "block_03"), "block_03")
    assert scoreboard_html(None, LAYERS, "block_01") == scoreboard_html({}, LAYERS, "block_01") == ""
