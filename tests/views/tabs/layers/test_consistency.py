"""The charts of consistency.json show the artifact's own layers, and strangers' words stay text."""

from hsae.artifacts.documents.consistency import ModelConsistency
from hsae.views.tabs.layers.consistency import consistency_html

OWN = ModelConsistency(
    ["block_01", "block_02"],
    {
        "cophenetic_height": [0.125, 0.25],
        "cophenetic_height_null": [0.0, -0.01],
        "cophenetic_height_gain": [0.125, 0.26],
        "R": [None, 0.375],
        "steered": [0.6, None],
        "steered_random": [0.0, None],
    },
)
OTHER = ModelConsistency(["<b>"], {"cophenetic_height": [None], "cophenetic_height_gain": [None]})


def test_own_layers_are_drawn_and_every_model_has_a_row():
    html = consistency_html({"own": OWN, "other": OTHER}, "own <i>leads</i>.", "block_02")
    assert html.count("<figure") == 2
    assert "random push" in html
    assert "rank correlation" in html
    assert "0.375" in html
    assert "own &lt;i&gt;leads" in html
    assert "&lt;b&gt;" in html
    assert "<b>" not in html
    assert html.count("<tr") == 3


def test_nothing_measured_draws_nothing():
    assert "<figure" not in consistency_html({"own": ModelConsistency([], {})}, None, "block_01")
