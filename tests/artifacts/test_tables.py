"""New latent tables for a finished artifact: nothing else changes, and a failure changes nothing."""

import numpy as np
import pytest

from hsae.artifacts import tables
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.extras import add_document
from hsae.artifacts.tables import replace_tables
from hsae.errors import ArtifactError, WriteError
from tests.artifacts.conftest import contents, read_all

NAMES = {"names": {"rule": {"alpha": 0.05}, "layers": {"block_01": {"n_named": 1, "median_precision": None}}}}


def renamed(folder, **columns):
    """The table of block_01 with other columns."""
    return {"block_01": Artifact.load(folder).latents("block_01").assign(**columns)}


def test_only_the_table_and_the_index_change(folder):
    add_document(folder, "causal", {"a": 1})
    (folder / "README.md").write_text("a card")
    before, rule = contents(folder), Artifact.load(folder).taxonomy_rule
    assert replace_tables(folder, renamed(folder, named=1, node="n02084071"), NAMES) == folder.resolve()
    after = contents(folder)
    assert set(after) == set(before)
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"hsae.json", "block_01/latents.parquet"}
    artifact = read_all(folder)
    assert (artifact.latents("block_01").named == 1).all()
    assert (artifact.latents("block_02").named == -1).all()
    assert artifact.taxonomy_rule == rule | NAMES
    assert artifact.document("causal") == {"a": 1}


def test_a_table_that_the_format_does_not_allow_changes_nothing(folder):
    before = contents(folder)
    for wrong in ({"named": 2}, {"node": "dog"}, {"node_precision": 1.5}, {"other": 0}):
        with pytest.raises(ArtifactError):
            replace_tables(folder, renamed(folder, **wrong), NAMES)
    with pytest.raises(ArtifactError, match="taxonomy"):
        replace_tables(folder, {}, {"names": {"x": np.nan}})
    with pytest.raises(ArtifactError, match="block_01"):
        replace_tables(folder, {"block_99": Artifact.load(folder).latents("block_01")}, NAMES)
    assert contents(folder) == before


def test_what_fails_half_way_changes_nothing(folder, monkeypatch):
    before = contents(folder)

    def full(path, frame):
        raise OSError("No space left on device")

    monkeypatch.setattr(tables, "write_latents", full)
    with pytest.raises(WriteError, match="No space left"):
        replace_tables(folder, renamed(folder, named=1), NAMES)
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]
