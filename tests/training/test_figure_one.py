"""One L1 weight means another sparsity in every unit; ours has the L0 of the ReLU beside it."""

from __future__ import annotations

import pandas as pd
import pytest
import torch
from PIL import Image

from hsae.activations.extract import extract_activations
from tests.activations.noise_images import noise_samples
from tests.tiny_models import tiny_dinov2
from training.figure_one import KINDS, main


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder, backbone = tmp_path_factory.mktemp("run"), tiny_dinov2()
    with torch.no_grad():  # the last layer is a hundred times as loud as the others
        backbone.model.encoder.layer[-1].layer_scale2.lambda1.mul_(100)
        backbone.model.encoder.layer[-1].layer_scale1.lambda1.mul_(100)
    for name, n in {"train": 256, "heldout": 40}.items():
        extract_activations(backbone, noise_samples(n), folder / "activations" / name, progress=False)
    return folder


SMALL = ["--d_sae", "48", "--epochs", "15", "--batch_size", "32", "--l1", "0.03", "--l1_raw", "1"]


def test_the_figure_has_three_saes_a_layer(run, capsys):
    assert main([str(run), "--layers", "block_01,block_03", *SMALL]) == 0
    assert str(run / "figures" / "figure_one.png") in capsys.readouterr().out
    with Image.open(run / "figures" / "figure_one.png") as image:
        assert image.width > 1000
    table = pd.read_csv(run / "figures" / "figure_one.csv").set_index(["layer", "kind"])
    assert set(table.index.get_level_values("kind")) == set(KINDS)
    for layer in ("block_01", "block_03"):
        assert table.l0[layer, "ours"] == pytest.approx(table.l0[layer, "normalised"], rel=0.1, abs=1)
    loud, quiet = table.loc["block_03", "raw"], table.loc["block_01", "raw"]
    assert loud["var"] > 100 * quiet["var"]
    # What is a light weight for the loud layer is a heavy one for the quiet, unless units are normalised first.
    assert loud.l0 / quiet.l0 > 1.5 * table.l0["block_03", "normalised"] / table.l0["block_01", "normalised"]


def test_a_run_without_activations_is_one_sentence(tmp_path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "Error: " in capsys.readouterr().err
