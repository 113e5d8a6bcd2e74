"""python -m hsae places: columns from stored activations and pasted objects; the artifact stays whole."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import hsae
from hsae.__main__ import main
from hsae.artifacts.artifact import Artifact
from hsae.backbones.registry import REGISTRY
from hsae.report.places import KINDS
from tests.test_session_places import made
from tests.tiny_models import tiny_dinov2

COLUMNS = ["coherence", "place_variance", "high_norm_share", "object_precision", "kind"]
LAYERS = ("block_01", "block_02")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A run with an artifact of patches and a store of 12 starter photographs."""
    backbone = tiny_dinov2()
    monkeypatch.setitem(REGISTRY, "tiny", lambda **_: backbone)
    made(backbone, "patch", LAYERS, 3).save(tmp_path / "artifact")
    hsae.extract_activations(backbone, hsae.load_samples("starter").take(12), tmp_path / "store", LAYERS, "patch")
    return tmp_path


def test_columns_and_counts_are_written_and_everything_else_stays(folder, capsys):
    before = Artifact.load(folder / "artifact").latents("block_02")
    assert main(["places", str(folder / "artifact"), "--store", str(folder / "store"), "--scenes", "6"]) == 0
    after = Artifact.load(folder / "artifact")
    table = after.latents("block_02")
    pd.testing.assert_frame_equal(table.drop(columns=COLUMNS), before.drop(columns=COLUMNS))
    assert before[COLUMNS].isna().all().all()
    assert table["coherence"].notna().any()
    assert set(table["kind"].dropna()) <= set(KINDS)
    said = after.taxonomy_rule["places"]
    assert (said["n_images"], said["n_scenes"]) == (12, 6)
    assert 0 < said["object_share"] < 1
    assert 0 <= said["layers"]["block_02"]["pointing"] <= 1
    assert "median_coherence" in capsys.readouterr().out
    z = after.sae("block_02").encode(hsae.ActivationStore(folder / "store").layer("block_02"))
    silent = (z > 0).any(1).any(0).numpy() == 0
    assert np.array_equal(table["coherence"].isna(), silent)


def test_an_artifact_of_a_class_token_is_refused(folder, capsys):
    made(tiny_dinov2(), "cls", LAYERS, 3).save(folder / "other")
    assert main(["places", str(folder / "other"), "--store", str(folder / "store")]) == 1
    assert "artifact of patches" in capsys.readouterr().err
