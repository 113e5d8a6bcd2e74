from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pandas as pd
import pytest

import hsae
from hsae.__main__ import main
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.segmentation import read_segmentation
from hsae.data.starter import TABLES
from hsae.steering.segmentation.kinds import KINDS, class_of, ranks

STARTER = Path(hsae.__file__).parent / "starter" / "artifact"
EACH = 3
"""Cut-outs of each kind, of which one is held out: every picture costs a pass through the real backbone."""
IN_IMAGENETTE = ("military/paratrooper", "vehicles/garbagetruck")
"""The cut-outs of its classes, parachute and garbage truck."""


@pytest.fixture
def few(tmp_path, monkeypatch) -> None:
    """The first cut-outs of each kind, few natural backgrounds, and one photograph a class to choose features on."""
    with TABLES["starter:cutouts"].open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    kinds = [class_of(row["wnid"], KINDS) for row in rows]
    table = tmp_path / "few.csv"
    with table.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        for row, kind, rank in zip(rows, kinds, ranks(kinds), strict=True):
            if (kind is not None and rank < EACH) or row["key"] in IN_IMAGENETTE:
                writer.writerow(row | {"file": TABLES["starter:cutouts"].parent / row["file"]})
    monkeypatch.setitem(TABLES, "starter:cutouts", table)
    monkeypatch.setattr("hsae.steering.segmentation.sets.BACKGROUNDS", 4)
    monkeypatch.setattr("hsae.steering.segmentation.sets.CHOICE", 1)


@pytest.mark.slow
@pytest.mark.parametrize("photographs", [False, True])
def test_the_head_and_all_numbers_are_in_the_artifact(photographs, focus, few, shared, tmp_path):
    folder = Path(shutil.copytree(STARTER, tmp_path / "artifact"))
    arguments = [str(folder), "--layers", "block_11", "--latents", "4", "--copies", "1", "--pairs", "1"]
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
