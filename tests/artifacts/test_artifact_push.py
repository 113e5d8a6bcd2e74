"""A push is one commit of the artifact's own files, goes on after a break, and replaces nothing it should not."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from hsae.artifacts.artifact import Artifact
from hsae.errors import ArtifactError
from tests.artifacts.conftest import GOLDEN, contents
from tests.artifacts.test_artifact_save import parts
from tests.golden.make import make_artifact
from tests.hub_emulator import TOKEN, Fault

COMMON = {".gitattributes", "README.md"}


@pytest.fixture
def saved(tmp_path):
    """The golden artifact in a folder, among things that are nobody's business."""
    folder = make_artifact().save(
        tmp_path / "run" / "artifact", card="---\ntags: [x]\n---\n# Load org/name\n", figures={"a.svg": "<svg/>"}
    )
    (folder.parent / "activations").mkdir()
    (folder.parent / "activations" / "shard.safetensors").write_bytes(b"store")
    (folder / "photo.webp").write_bytes(b"an image")
    (folder / "card" / "photo.png").write_bytes(b"another")
    return folder


def commits(hub, repo_id="org/new") -> int:
    return len(hub.repo(repo_id).commits)


def test_one_commit_with_the_artifacts_own_files_comes_back_the_same(hub, saved):
    commit = Artifact.load(saved).push("org/new", tag="v1")
    repo = hub.repo("org/new")
    assert commits(hub) == 2  # the Hub's own first one, and ours
    index = Artifact.load(saved).index
    assert set(repo.commits[commit]) == {*index.paths, "hsae.json", "card/a.svg", *COMMON}
    assert repo.tags == {"v1": commit}
    for revision in (None, "v1", commit):
        loaded = Artifact.load("org/new", revision=revision)
        assert loaded.sha256 == Artifact.load(saved).sha256
    assert repo.commits[commit]["README.md"].endswith(b"# Load org/new\n")


def test_an_artifact_in_memory_and_some_layers_are_pushed(hub):
    commit = make_artifact().push("org/new", private=True, layers=["block_02"])
    assert hub.repo("org/new").private
    loaded = Artifact.load("org/new", revision=commit)
    assert loaded.layers == ("block_02",)
    assert loaded.probe("block_02").W.shape == (8, 4)
    assert not any(path.startswith("block_01") for path in hub.repo("org/new").commits[commit])


def test_an_artifact_of_the_hub_is_pushed_on_in_its_own_dtype(hub, tmp_path):
    Artifact.load(make_artifact().save(tmp_path / "exact", dtype="float32")).push("org/first")
    Artifact.load("org/first").push("org/second")
    assert Artifact.load("org/second").sha256 == Artifact.load("org/first").sha256
    assert Artifact.load("org/second").dtype == "float32"


def test_a_push_that_broke_off_sends_only_what_is_missing(hub, saved):
    hub.fault = lambda method, path: Fault(400) if "/commit/" in path else None
    with pytest.raises(ArtifactError, match="refused"):
        Artifact.load(saved).push("org/new")
    assert commits(hub) == 1  # nothing half is to be seen
    large = len(hub.asked("PUT"))
    assert large == 4  # two layers' weights and the tables, which are the same, and the probes
    hub.fault = lambda method, path: None
    Artifact.load(saved).push("org/new")
    assert len(hub.asked("PUT")) == large
    Artifact.load(saved).push("org/new")
    assert commits(hub) == 2  # the same again is no commit


def test_a_failing_upload_is_tried_again(hub, saved):
    troubles = iter([Fault(503)])
    hub.fault = lambda method, path: next(troubles, None) if method == "PUT" else None
    Artifact.load(saved).push("org/new")
    assert len(hub.asked("PUT")) == 5


def test_layers_are_sent_one_after_the_other_and_none_of_them_again(hub, saved):
    hub.fault = lambda method, path: Fault(400) if method == "PUT" and len(hub.store.lfs) >= 2 else None
    with pytest.raises(ArtifactError):
        Artifact.load(saved).push("org/new")
    assert len(hub.store.lfs) == 2  # the whole of the first layer
    assert commits(hub) == 1
    before = len(hub.asked("PUT"))
    hub.fault = lambda method, path: None
    Artifact.load(saved).push("org/new")
    assert len(hub.asked("PUT")) == before + 2
    assert Artifact.load("org/new").sha256 == Artifact.load(saved).sha256


def test_a_newer_artifact_of_the_same_backbone_replaces_the_old_one(hub, saved):
    Artifact.load(saved).push("org/new")
    repo = hub.repo("org/new")
    repo.commit(repo.commits[repo.branches["main"]] | {"notes.txt": b"mine"})
    commit = Artifact.load(saved).push("org/new", layers="block_02")
    assert "notes.txt" in repo.commits[commit]
    assert "block_01/cfg.json" not in repo.commits[commit]
    assert "card/a.svg" not in repo.commits[commit]


def test_a_branch_of_its_own(hub, saved):
    Artifact.load(saved).push("org/new")
    main = hub.repo("org/new").branches["main"]
    commit = Artifact.load(saved).push("org/new", revision="small", layers="block_01")
    assert hub.repo("org/new").branches == {"main": main, "small": commit}
    assert Artifact.load("org/new", revision="small").layers == ("block_01",)


def test_nothing_foreign_is_replaced_without_force(hub, saved):
    other = parts(backbone={**make_artifact().backbone, "weights_sha256": "1" * 64, "id": "another"})
    other.push("org/backbone")
    hub.publish("org/model", {"model.safetensors": b"weights"})
    hub.publish("org/broken", {"hsae.json": b"{"})
    Artifact.load(saved).push("org/tagged", tag="v1")
    refusals = {
        "org/backbone": (None, "holds an artifact of another"),
        "org/model": (None, "something else: model.safetensors"),
        "org/broken": (None, "not readable as JSON"),
        "org/tagged": ("v1", "has the tag 'v1' already"),
    }
    for repo_id, (tag, message) in refusals.items():
        before = commits(hub, repo_id)
        with pytest.raises(ArtifactError, match=message):
            Artifact.load(saved).push(repo_id, tag=tag)
        assert commits(hub, repo_id) == before
    for repo_id, (tag, _) in refusals.items():
        commit = Artifact.load(saved).push(repo_id, tag=tag, force=True)
        assert Artifact.load(repo_id, revision=commit).backbone["id"] == "golden"
    assert "model.safetensors" in hub.repo("org/model").commits[hub.repo("org/model").branches["main"]]


def test_other_bytes_on_the_hub_are_noticed(hub, saved, monkeypatch):
    keep = hub.store.lfs.__class__.__getitem__
    monkeypatch.setattr(hub.store, "lfs", type("Rotten", (dict,), {"__getitem__": lambda s, k: keep(s, k) + b"!"})())
    with pytest.raises(ArtifactError, match="other bytes than were sent: block_01"):
        Artifact.load(saved).push("org/new")


def test_a_changed_folder_is_not_pushed(hub, saved):
    (saved / "tree.json").write_text("{}")
    with pytest.raises(ArtifactError, match="sha256"):
        Artifact.load(saved).push("org/new")
    assert not hub.requests


def test_a_change_by_someone_else_in_between_stops_the_push(hub, saved):
    Artifact.load(saved).push("org/new")

    def meanwhile(method, path):
        if "/preupload/" in path:
            hub.repo("org/new").commit({"README.md": b"someone else's"})

    hub.fault = meanwhile
    with pytest.raises(ArtifactError, match="changed by someone else"):
        Artifact.load(saved).push("org/new", layers="block_01")


def test_who_may_not_write_is_told_so(hub, saved, monkeypatch):
    Artifact.load(saved).push("org/new")
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(ArtifactError, match="does not know the token"):
        Artifact.load(saved).push("org/new", layers="block_01")
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(ArtifactError, match="No token"):
        Artifact.load(saved).push("org/newer")
    with pytest.raises(ArtifactError, match="is no name"):
        Artifact.load(saved).push("no name")


@pytest.mark.slow
def test_by_environment_variables_alone(hub, saved, tmp_path):
    """Control: a process that never saw the tests' settings pushes and loads through HF_ENDPOINT."""
    program = (
        "import hsae; a = hsae.Artifact.load(%r); c = a.push('org/new', tag='v1');"
        "b = hsae.Artifact.load('org/new', 'v1', layers='block_01'); b.sae('block_01'); print(b.sha256 == a.sha256, c)"
    )
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
    settings |= {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", program % str(saved)],
        env={**os.environ, **settings}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout.split() == ["True", hub.repo("org/new").tags["v1"]]


def test_a_card_the_hub_finds_fault_with_is_an_error_before_anything_is_sent(hub, saved):
    (saved / "README.md").write_text("---\ntags: one, two\n---\n")
    with pytest.raises(ArtifactError, match="tags must be a list"):
        Artifact.load(saved).push("org/new")
    assert not hub.asked("PUT")


def test_the_golden_artifact_is_pushed_as_it_is(hub):
    with pytest.warns(UserWarning, match="missing yaml metadata"):  # its card has no front matter
        commit = Artifact.load(GOLDEN / "schema_1").push("org/golden")
    served = hub.repo("org/golden").commits[commit]
    assert {p: c for p, c in served.items() if p not in COMMON} == {
        p: c for p, c in contents(GOLDEN / "schema_1").items() if p not in COMMON
    }
