"""python -m hsae faithfulness on an artifact of the tiny backbone."""

from __future__ import annotations

import json

import pandas as pd
import pytest
import torch

from hsae.__main__ import main
from hsae.artifacts.artifact import Artifact
from hsae.backbones.registry import REGISTRY
from hsae.measures.probes import LinearProbe
from tests.tiny_models import WIDTH, random_sae, tiny_dinov2

LAYERS = ("block_02", "block_03")


def probe():
    return LinearProbe(torch.zeros(WIDTH, 1), torch.zeros(1), torch.zeros(WIDTH), torch.ones(WIDTH))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    backbone = tiny_dinov2()
    monkeypatch.setitem(REGISTRY, "tiny", lambda **_: backbone)
    stated = {"id": "tiny", "revision": None, "weights_sha256": backbone.fingerprint, "image_size": 56, "token": "cls"}
    photos = [{"dataset": [], "starter": [["animals/badger", 1.0], ["animals/bear", 0.5]]}] * 24

    artifact = Artifact.from_parts(
        backbone=stated,
        dataset={"id": "toy", "split": None, "n_images": 1, "classes": ["n02084071"]},
        taxonomy={"tau": 0.5, "q": None, "nulls": []},
        saes={layer: random_sae(seed) for seed, layer in enumerate(LAYERS)},
        latents=dict.fromkeys(LAYERS, pd.DataFrame({"dead": [False] * 24})),
        top_images=dict.fromkeys(LAYERS, photos),
        probes={layer: probe() for layer in LAYERS},
        curves={},
        tree={},
    )
    return artifact.save(tmp_path / "artifact", dtype="float32")


FEW = ["--photos", "2", "--scenes", "1", "--baselines", "blur,mask"]


def test_the_document_is_added_to_the_artifact(folder, capsys):
    assert main(["faithfulness", str(folder), *FEW]) == 0
    found = Artifact.load(folder).document("faithfulness")
    assert list(found["layers"]) == list(LAYERS)
    assert found["baselines"] == ["blur", "mask"]
    assert len(found["layers"]["block_02"]["features"]["latent"]) == 2
    said = capsys.readouterr().out
    assert "is best on 1 other photographs" in said
    assert "only 1 photographs score" in said


def test_with_a_folder_for_the_tables_the_artifact_stays_as_it_is(folder, tmp_path, capsys):
    assert main(["faithfulness", str(folder), *FEW, "--layers", "block_03", "--out", str(tmp_path / "out")]) == 0
    assert Artifact.load(folder).document("faithfulness") is None
    assert list(json.loads((tmp_path / "out" / "faithfulness.json").read_text())["layers"]) == ["block_03"]
    rows = pd.read_csv(tmp_path / "out" / "faithfulness.csv")
    assert set(rows["baseline"]) == {"blur", "mask"}


def test_what_cannot_be_measured_is_one_sentence(folder, capsys):
    assert main(["faithfulness", str(folder), *FEW, "--layers", "block_99"]) == 1
    assert "block_02, block_03" in capsys.readouterr().err
