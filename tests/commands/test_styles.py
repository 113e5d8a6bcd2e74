"""python -m hsae styles: features of colour are lost in grey, and counted only where they are named and said."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hsae.commands import styles
from hsae.commands.styles import look, nodes_of, read_concepts, table
from hsae.data.samples import load_samples
from hsae.errors import InputError, LabelError
from tests.tiny_models import SIDE, PlainBackbone, colour_sae

CAT, DOG, ANIMAL, CAR = "n02121808", "n02084071", "n00015388", "n02958343"
LATENTS = pd.DataFrame(
    {"named": np.int32(1), "node": [CAT, DOG, CAR], "node_threshold": [1.5, 1.5, 1.5], "label": "thing"}
)


def artifact(latents=LATENTS):
    """Red means cat, green dog and blue car."""
    return SimpleNamespace(
        id="colours", token="patch", layers=("stage_1",), sae=lambda layer: colour_sae(), latents=lambda layer: latents,
        load_backbone=PlainBackbone,
    )  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """One photograph each of a colour all over: red and green ones, which grey makes dark."""
    folder = tmp_path_factory.mktemp("photos")
    for colour in ("red", "lime"):
        Image.new("RGB", (SIDE, SIDE), colour).save(folder / f"{colour}.png")
    return folder


@pytest.fixture(scope="module")
def said(folder):
    return look(artifact(), PlainBackbone(), load_samples(folder, label_map="none"), ["stage_1"])


def test_names_are_said_by_the_threshold_of_the_artifact(said):
    versions = said["stage_1"]
    assert list(versions) == ["photograph", "grey", "edges", "mosaic"]
    assert (
        versions["photograph"].tolist() == versions["mosaic"].tolist() == [[False, True, False], [True, False, False]]
    )
    assert not versions["grey"].any()
    assert versions["edges"].all()  # no edges are white, where every colour is strong


def test_rows_are_those_of_the_planted_artifact(said):
    rows = table(artifact(), said, {"animal": [ANIMAL], "car": [CAR]}).set_index(["concept", "style"])
    assert rows.kept["all"].tolist() == [0, 1, 1]
    assert rows.null["all"].tolist() == [0, 1, 0]  # in edges, every name is said of everything
    assert rows.gain["all"].tolist() == [0, 0, 1]
    assert rows.features.unstack()["grey"].to_dict() == {"all": 3, "animal": 2, "car": 1}
    assert rows.said["all", "grey"] == 1
    assert rows.pictures["car", "grey"] == 0
    assert rows.kept["car"].isna().all()


def test_refused_names_do_not_count_and_an_artifact_without_names_is_refused(said):
    rows = table(artifact(LATENTS.assign(named=np.array([1, 0, 0], np.int32))), said, {})
    assert rows.features.unique().tolist() == [1]
    with pytest.raises(InputError, match="colours without a feature that has a name"):
        table(artifact(LATENTS.assign(named=np.int32(0))), said, {})


def test_concepts_are_words_ids_and_files_of_them(tmp_path):
    (tmp_path / "list.txt").write_text("animal  # of any kind\n\n# a comment\ncrane\n")
    assert read_concepts([str(tmp_path / "list.txt"), CAR, "animal"]) == ["animal", "crane", CAR]
    assert nodes_of(CAR) == (CAR,)
    assert nodes_of("animal") == (ANIMAL,)
    assert len(nodes_of("crane")) > 1
    with pytest.raises(LabelError, match="'gizmotron'"):
        nodes_of("gizmotron")
    (tmp_path / "picture.png").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"picture\.png cannot be read"):
        read_concepts([str(tmp_path / "picture.png")])


def test_the_command_prints_and_writes(folder, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(styles.Artifact, "load", lambda source: artifact())
    command = SimpleNamespace(
        artifacts=["a", "b"], data=str(folder), split=None, limit=None, layers=None, concepts=["animal"],
        out=tmp_path / "styles.json",
    )  # fmt: skip
    monkeypatch.setattr(styles, "load_samples", lambda source, **options: load_samples(source, label_map="none"))
    styles.run(command)
    written = json.loads((tmp_path / "styles.json").read_text())
    assert written["concepts"] == {"animal": [ANIMAL]}
    assert len(written["rows"]) == 2 * 2 * 3
    assert "mosaic" in capsys.readouterr().out
    command.data = str(folder / "red.png")
    monkeypatch.setattr(
        styles, "load_samples", lambda source, **options: load_samples(folder, label_map="none", limit=1)
    )
    with pytest.raises(InputError, match="1 photographs"):
        styles.run(command)
