"""Artifacts of every schema number stay readable, and the writer stays deterministic."""

from __future__ import annotations

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from hsae.artifacts.artifact import Artifact
from hsae.errors import ArtifactError
from tests.artifacts.conftest import GOLDEN
from tests.golden.make import make_artifact


def test_known_values_of_schema_1():
    artifact = Artifact.load(GOLDEN / "schema_1")
    assert artifact.layers == ("block_01", "block_02")
    assert artifact.classes == ("n02085620", "n02123045", "n02124075", "n04285008")
    assert artifact.token == "cls"
    assert artifact.backbone["id"] == "golden"
    assert artifact.dataset["n_images"] == 100
    assert artifact.taxonomy_rule == {"tau": 0.5, "q": None, "nulls": []}
    assert artifact.curves["block_02"]["fvu"] == 0.25
    assert artifact.tree == {"edges": [[1, 2]]}


def test_known_weights_of_schema_1():
    sae = Artifact.load(GOLDEN / "schema_1").sae("block_01")
    assert (sae.activation, sae.k, sae.d_in, sae.d_sae) == ("topk", 4, 8, 16)
    # ramp: ((7 i) mod 17 - 8) / 8 at i = 0, 1, 2, 3
    assert sae.W_enc[0, :4].tolist() == [-1.0, -0.125, 0.75, -0.5]
    assert sae.b_enc[:2].tolist() == [-0.625, 0.25]
    assert sae.W_dec[9].tolist() == [0, -1, 0, 0, 0, 0, 0, 0]
    assert {tensor.dtype for tensor in sae.parameters()} == {torch.float32}
    assert not any(tensor.requires_grad for tensor in sae.parameters())
    assert Artifact.load(GOLDEN / "schema_1").sae("block_02").activation == "relu"


def test_known_tables_of_schema_1():
    artifact = Artifact.load(GOLDEN / "schema_1")
    table = artifact.latents("block_01")
    assert table.loc[1, "lch"] == "n02121808"
    assert table.loc[3, "frequency"] == np.float32(3 / 32)
    assert table["dead"].tolist() == [True] + [False] * 15
    assert table["lch"].isna().sum() == 15
    assert table["q_value"].isna().all()
    assert artifact.top_images("block_02")[3] == {"dataset": [[3, 1.5], [4, 0.75]], "starter": [["animals/cat", 0.25]]}
    probe = artifact.probe("block_02")
    assert probe.W.shape == (8, 4)
    assert probe.std.tolist() == [2.0] * 8


def test_probes_of_schema_1_have_the_temperature_1_and_those_of_schema_2_their_own():
    old, new = (Artifact.load(GOLDEN / schema).probe("block_02") for schema in ("schema_1", "schema_2"))
    assert (old.temperature, new.temperature) == (1, 1.25)
    x = torch.ones(1, 8)
    torch.testing.assert_close(old.logits(x), new.logits(x) * 1.25)


def test_known_names_of_schema_2():
    artifact = Artifact.load(GOLDEN / "schema_2")
    table = artifact.latents("block_02")
    assert table["named"].tolist() == [0, 1] + [0] * 14
    assert table["node"].iloc[1:3].tolist() == ["n02121808"] * 2
    assert table["node_worth"].iloc[:2].isna().tolist() == [True, False]
    assert artifact.taxonomy_rule["names"]["n_images"] == {"choice": 60, "confirm": 20, "test": 20}


def test_what_is_added_to_schema_1_leaves_it_schema_1(tmp_path):
    """An artifact keeps its schema when it is saved again, so older versions still open it."""
    saved = Artifact.load(GOLDEN / "schema_1").save(tmp_path / "again")
    assert json.loads((saved / "hsae.json").read_text())["schema"] == 1
    assert Artifact.load(saved).probe("block_01").temperature == 1
    mixed = json.loads((saved / "hsae.json").read_text()) | {"schema": 2}
    (saved / "hsae.json").write_text(json.dumps(mixed))
    with pytest.raises(ArtifactError, match="temperature"):
        Artifact.load(saved).probe("block_01")


def test_the_same_parts_are_still_written_the_same(tmp_path):
    golden, saved = GOLDEN / "schema_2", make_artifact().save(tmp_path / "again")
    new, old = (json.loads((folder / "hsae.json").read_text())["files"] for folder in (saved, golden))
    assert sorted(new) == sorted(old)
    tables = "block_01/latents.parquet"
    writers = {pq.read_metadata(folder / tables).created_by for folder in (saved, golden)}
    same_pyarrow = len(writers) == 1  # its version stands in the file
    differing = {path for path in new if new[path] != old[path] and (same_pyarrow or not path.endswith(".parquet"))}
    assert not differing


def test_other_parts_give_other_bytes(tmp_path):
    artifact = make_artifact()
    artifact.sae("block_01").b_enc[0] += 1
    saved = artifact.save(tmp_path / "other")
    weights = "block_01/sae_weights.safetensors"
    assert (saved / weights).read_bytes() != (GOLDEN / "schema_2" / weights).read_bytes()
