"""Only what is asked for is read, once; what comes back belongs to nobody's file; the backbone has to match."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
from types import SimpleNamespace

import pytest
import torch

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.files import LocalFiles
from hsae.errors import ArtifactError
from tests.artifacts.conftest import read_all


@pytest.fixture
def asked(monkeypatch) -> list[str]:
    """Paths of the files that were asked for."""
    paths: list[str] = []
    get = LocalFiles.get
    monkeypatch.setattr(LocalFiles, "get", lambda self, path: paths.append(path) or get(self, path))
    return paths


def test_only_what_is_asked_for_is_read_and_only_once(folder, asked):
    artifact = Artifact.load(folder)
    assert asked == ["hsae.json"]
    artifact.sae("block_02"), artifact.sae("block_02")
    assert asked == ["hsae.json", "block_02/cfg.json", "block_02/sae_weights.safetensors"]
    artifact.probe("block_01"), artifact.probe("block_02"), artifact.latents("block_01"), artifact.curves
    assert asked[3:] == ["probes.safetensors", "block_01/latents.parquet", "curves.json"]


def test_the_other_layers_may_be_gone(folder):
    shutil.rmtree(folder / "block_01")
    artifact = Artifact.load(folder, layers=["block_02"])
    assert artifact.layers == ("block_02",)
    artifact.sae("block_02"), artifact.latents("block_02"), artifact.top_images("block_02"), artifact.probe("block_02")
    with pytest.raises(ArtifactError, match="No layer 'block_01'"):
        artifact.sae("block_01")
    with pytest.raises(ArtifactError, match="is missing"):
        Artifact.load(folder).sae("block_01")


def test_layers_keep_the_order_of_the_model(folder):
    assert Artifact.load(folder, layers=["block_02", "block_01"]).layers == ("block_01", "block_02")


def test_weights_survive_the_loss_of_their_file(folder, tmp_path):
    saved = Artifact.load(folder).save(tmp_path / "exact", dtype="float32")
    artifact = Artifact.load(saved)
    tensors = [*artifact.sae("block_01").parameters(), artifact.probe("block_01").W]
    before = [tensor.clone() for tensor in tensors]
    for path in (saved / "block_01" / "sae_weights.safetensors", saved / "probes.safetensors"):
        with path.open("r+b") as file:
            file.write(bytes(path.stat().st_size))
            file.truncate(1)
    assert all(torch.equal(a, b) for a, b in zip(tensors, before, strict=True))


def test_a_table_may_be_changed_by_whoever_asked(folder):
    artifact = Artifact.load(folder)
    mine = artifact.latents("block_01")
    mine["label"] = "mine"
    mine.loc[0, "frequency"] = 0.75
    assert artifact.latents("block_01").loc[0, "label"] == "silent"
    assert artifact.latents("block_01").loc[0, "frequency"] == 0


def test_threads_share_one_copy(folder, asked):
    artifact, saes = Artifact.load(folder), []
    threads = [threading.Thread(target=lambda: saes.append(artifact.sae("block_01"))) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(sae) for sae in saes}) == 1
    assert asked.count("block_01/sae_weights.safetensors") == 1


def test_a_part_that_failed_is_read_again(folder):
    artifact = Artifact.load(folder)
    (folder / "tree.json").rename(folder / "aside.json")
    with pytest.raises(ArtifactError):
        artifact.tree  # noqa: B018
    (folder / "aside.json").rename(folder / "tree.json")
    assert artifact.tree == {"edges": [[1, 2]]}


def test_the_backbone_must_have_the_same_weights(folder):
    artifact = Artifact.load(folder)
    artifact.check_backbone(SimpleNamespace(id="golden", fingerprint="0" * 64, dtype=torch.float32))
    with pytest.raises(ArtifactError, match="fingerprint") as caught:
        artifact.check_backbone(SimpleNamespace(id="golden", fingerprint="1" * 64, dtype=torch.bfloat16))
    assert "bfloat16" in str(caught.value)


def test_sha256_tells_artifacts_apart(folder, tmp_path):
    artifact = read_all(folder)
    other = Artifact.load(folder, layers="block_01").save(tmp_path / "other")
    assert artifact.sha256 == Artifact.load(folder).sha256 != Artifact.load(other).sha256


@pytest.mark.slow
def test_importing_loads_no_heavy_library():
    heavy = {"pandas", "pyarrow", "huggingface_hub", "transformers", "gradio", "datasets"}
    code = f"import sys, hsae.artifacts.artifact; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
