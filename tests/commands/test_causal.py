from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import hsae
from hsae.__main__ import main
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.causal import resumed, write_causal
from hsae.commands.causal import spread
from hsae.steering.causal.experiment import Setting

STARTER = Path(hsae.__file__).parent / "starter" / "artifact"


def test_layers_are_spread_towards_the_end():
    blocks = tuple(f"block_{n:02d}" for n in range(1, 13))
    assert spread(blocks) == ["block_06", "block_09", "block_11", "block_12"]
    assert spread(("only",)) == ["only"]
    assert spread(("one", "two")) == ["one", "two"]


def test_only_a_run_of_the_same_rules_is_resumed():
    before = {"rules": {"seed": 0}, "layers": {"block_12": 1}}
    assert resumed(before, {"rules": {"seed": 0}, "layers": {}}) == before
    assert resumed(before, {"rules": {"seed": 1}, "layers": {}}) == {"rules": {"seed": 1}, "layers": {}}
    assert resumed(None, {"rules": {}, "layers": {}})["layers"] == {}


def test_a_document_with_fewer_controls_is_measured_again():
    now = write_causal({}, Setting(), 24, "toy")
    older = {"rules": {k: v for k, v in now["rules"].items() if k != "conditions"}, "layers": {"block_12": 1}}
    assert resumed(older, now)["layers"] == {}


@pytest.mark.slow
def test_the_result_is_in_the_artifact_and_in_a_figure(focus, tmp_path, capsys):
    folder = Path(shutil.copytree(STARTER, tmp_path / "artifact"))
    small = [str(folder), "--features", "3", "--images", "4", "--pool", "24"]
    assert main(["causal", *small, "--layers", "block_12"]) == 0
    first = Artifact.load(folder).document("causal")
    assert main(["causal", *small, "--layers", "block_11"]) == 0
    found = Artifact.load(folder).document("causal")
    assert list(found["layers"]) == ["block_11", "block_12"]
    assert found["layers"]["block_12"] == first["layers"]["block_12"]
    assert found["rules"]["data"] == "starter"
    figure = tmp_path / "artifact-figures" / "causal.png"
    assert figure.is_file()
    assert str(figure) in capsys.readouterr().out


def test_errors_are_one_sentence(tmp_path, capsys):
    assert main(["causal", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("ArtifactError: ")
