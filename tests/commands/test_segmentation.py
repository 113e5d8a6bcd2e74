from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

import hsae
from hsae.__main__ import main
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.segmentation import read_segmentation

STARTER = Path(hsae.__file__).parent / "starter" / "artifact"


@pytest.mark.slow
@pytest.mark.parametrize("photographs", [False, True])
def test_the_head_and_all_numbers_are_in_the_artifact(photographs, focus, shared, tmp_path):
    folder = Path(shutil.copytree(STARTER, tmp_path / "artifact"))
    arguments = [str(folder), "--layers", "block_11", "--latents", "4", "--copies", "1", "--pairs", "2"]
    if photographs:
        source = str(shared / "data" / "imagenette")
        arguments += ["--photographs", source, "--per-class", "2", "--test", "1"]
    assert main(["segmentation", *arguments, "--out", str(tmp_path / "out")]) == 0
    document = Artifact.load(folder).document("segmentation")
    head = read_segmentation(document)
    assert len(head.classes) == (11 if photographs else 10)
    tests = {"one_object", "two_objects", *(["photographs"] if photographs else [])}
    assert set(document["scores"]) == set(document["suppression"]["block_11"]) == tests
    scores = document["scores"]["one_object"]
    assert scores["head"]["object_accuracy"] > scores["shuffled_labels"]["object_accuracy"]
    rows = pd.read_csv(tmp_path / "out" / "suppression.csv")
    assert set(rows["label"]) <= set(head.classes)
    assert set(rows["pictures"]) <= tests
