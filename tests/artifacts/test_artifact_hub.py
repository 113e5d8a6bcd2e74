"""From the Hub come single files of one commit, or what is cached when it is down; each failure has its words."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest

from hsae.artifacts import hub as hub_source
from hsae.artifacts.artifact import Artifact
from hsae.errors import ArtifactError
from tests.artifacts.conftest import GOLDEN, contents
from tests.golden.make import make_artifact
from tests.hub_emulator import Fault


@pytest.fixture
def server(hub):
    """A Hub with the golden artifact as org/name."""
    hub.publish("org/name", contents(GOLDEN / "schema_1"))
    return hub


def stop(server) -> None:
    """From now on every question fails as if the server were down."""
    server.fault = lambda method, path: Fault(503)


def served(server) -> list[str]:
    """Files of org/name whose content was asked for."""
    return [path.split("/resolve/")[1].split("/", 1)[1] for path in server.asked("GET", "/resolve/")]


def test_only_what_is_asked_for_is_downloaded(server):
    artifact = Artifact.load("org/name")
    assert artifact.id == "org/name"
    assert served(server) == ["hsae.json"]
    assert artifact.sae("block_02").d_sae == 16
    heads = server.asked("HEAD", "/resolve/")
    assert [path.split("/", 5)[-1] for path in heads] == [
        "hsae.json", "block_02/cfg.json", "block_02/sae_weights.safetensors",
    ]  # fmt: skip
    Artifact.load("org/name").sae("block_02")
    assert len(server.asked("GET", "/cdn/")) == 1


def test_main_is_followed_and_a_commit_is_not(server, tmp_path):
    first = server.repo("org/name").branches["main"]
    before = Artifact.load("org/name")
    server.publish("org/name", contents(Artifact.load(GOLDEN / "schema_1", layers="block_01").save(tmp_path / "new")))
    assert Artifact.load("org/name").layers == ("block_01",)
    assert Artifact.load("org/name", revision=first).layers == ("block_01", "block_02")
    assert before.sae("block_02").d_sae == 16  # opened before the push, so still of the first commit


def test_a_tag_and_a_branch_are_revisions(server):
    repo = server.repo("org/name")
    repo.tags["v1"] = repo.branches["next/one"] = repo.branches["main"]
    server.publish("org/name", {"README.md": b"emptied"})
    assert Artifact.load("org/name", revision="v1").sae("block_01").k == 4
    assert Artifact.load("org/name", revision="next/one").layers == ("block_01", "block_02")


def test_the_cache_does_when_the_hub_is_down(server):
    Artifact.load("org/name").curves  # noqa: B018
    stop(server)
    artifact = Artifact.load("org/name")
    assert artifact.curves["block_01"]["l0"] == 4
    with pytest.raises(ArtifactError, match="cannot be reached"):
        artifact.tree  # noqa: B018


def test_offline_mode_asks_nothing(server, monkeypatch):
    Artifact.load("org/name").curves  # noqa: B018
    asked = len(server.requests)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    artifact = Artifact.load("org/name")
    assert artifact.curves["block_01"]["l0"] == 4
    with pytest.raises(ArtifactError, match="Offline mode is on"):
        artifact.tree  # noqa: B018
    with pytest.raises(ArtifactError, match="Offline mode is on"):
        Artifact.load("org/other")
    assert len(server.requests) == asked


@pytest.mark.parametrize("wait", [0, 20])
def test_an_unreachable_hub_costs_seconds(server, monkeypatch, wait):
    """Refused at once, or connected and never answered: the client alone would try for half a minute a file."""
    monkeypatch.setattr(hub_source, "TIMEOUT", 0.3)
    if wait:
        server.fault = lambda method, path: Fault(delay=wait)
    else:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
        monkeypatch.setattr(
            "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE",
            "http://127.0.0.1:9/{repo_id}/{revision}/{filename}",
        )
    start = time.monotonic()
    with pytest.raises(ArtifactError, match="cannot be reached"):
        Artifact.load("org/name")
    assert time.monotonic() - start < 3


def test_a_slow_hub_is_waited_for_and_a_broken_download_goes_on_where_it_broke_off(server):
    troubles = {"HEAD": iter([Fault(503)]), "GET": iter([Fault(delay=0.3, cut=True)])}
    server.fault = lambda method, path: next(troubles[method], None) if "/cdn/" in path or method == "HEAD" else None
    assert Artifact.load("org/name").sae("block_01").k == 4
    assert len(server.asked("GET", "/cdn/")) == 2


def test_a_file_of_the_hub_is_checked_like_any_other(server, tmp_path):
    broken = Path(shutil.copytree(GOLDEN / "schema_1", tmp_path / "broken"))
    (broken / "tree.json").write_text("{}")
    server.publish("org/name", contents(broken))
    with pytest.raises(ArtifactError, match="sha256"):
        Artifact.load("org/name").tree  # noqa: B018


def test_every_failure_has_its_own_words(server, tmp_path, monkeypatch):
    server.publish("org/empty", {"README.md": b""})
    server.publish("org/gated", {"hsae.json": b""})
    server.publish("org/future", {"hsae.json": b'{"schema": 3}'})
    server.publish("org/private", contents(GOLDEN / "schema_1"))
    server.repo("org/gated").gated = server.repo("org/private").private = True
    assert Artifact.load("org/private").layers  # control: with the token it opens
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "nothing cached"))
    failures = {
        "has no model org/other": lambda: Artifact.load("org/other"),
        "has no model org/private.*log in": lambda: Artifact.load("org/private"),
        "is gated": lambda: Artifact.load("org/gated"),
        "schema 3": lambda: Artifact.load("org/future"),
        "has no revision v9": lambda: Artifact.load("org/name", revision="v9"),
        r"has no file hsae\.json": lambda: Artifact.load("org/empty"),
        "is no revision": lambda: Artifact.load("org/name", revision="../x"),
        "is no name": lambda: Artifact.load("org/na--me"),
        "No layer 'block_99'.*block_01, block_02": lambda: Artifact.load("org/name", layers=["block_99"]),
    }
    for message, load in failures.items():
        with pytest.raises(ArtifactError, match=message):
            load()
    stop(server)
    with pytest.raises(ArtifactError, match="cannot be reached"):
        Artifact.load("org/other")


def test_make_artifact_is_what_the_hub_serves(server, tmp_path):
    """Control: a download is byte for byte what was saved."""
    saved = make_artifact().save(tmp_path / "again")
    server.publish("org/name", contents(saved))
    assert Artifact.load("org/name").sha256 == Artifact.load(saved).sha256
