"""From the Hub come single files of one commit, or what is cached when it is down; each failure has its words."""

from __future__ import annotations

import hashlib
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hsae.artifacts import files, hub
from hsae.artifacts.artifact import Artifact
from hsae.errors import ArtifactError
from tests.artifacts.conftest import GOLDEN
from tests.golden.make import make_artifact


class TinyHub(ThreadingHTTPServer):
    """What a download asks of the Hub, for the model org/name; `commits` maps commits to folders."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.commits: dict[str, Path] = {}
        self.main = ""
        self.refuse: tuple[int, str] | None = None
        self.served: list[str] = []

    def publish(self, folder: Path) -> str:
        """Let main point to a new commit with the content of `folder`."""
        self.main = hashlib.sha1((folder / "hsae.json").read_bytes()).hexdigest()
        self.commits[self.main] = folder
        return self.main


class _Handler(BaseHTTPRequestHandler):
    server: TinyHub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def log_message(self, *_) -> None:
        pass

    def _answer(self, body: bool) -> None:
        api, parts = self.path.startswith("/api/models/"), self.path.removeprefix("/api/models").split("/")[1:]
        name, revision, rest = "/".join(parts[:2]), parts[3] if len(parts) > 3 else "main", "/".join(parts[4:])
        commit = self.server.main if revision == "main" else revision
        if self.server.refuse:
            self._send(*self.server.refuse)
        elif name != "org/name":
            self._send(404, "RepoNotFound")
        elif commit not in self.server.commits:
            self._send(404, "RevisionNotFound")
        elif api:
            self._send(200, "", f'{{"id": "org/name", "sha": "{commit}"}}'.encode(), commit, body)
        elif not (self.server.commits[commit] / rest).is_file():
            self._send(404, "EntryNotFound", b"", commit)
        else:
            self.server.served += [rest] * body
            self._send(200, "", (self.server.commits[commit] / rest).read_bytes(), commit, body)

    def _send(self, status: int, code: str, content: bytes = b"", commit: str = "", body: bool = True) -> None:
        self.send_response(status)
        headers = {"X-Error-Code": code, "X-Repo-Commit": commit, "Content-Length": str(len(content))}
        for header, value in headers.items():
            if value:
                self.send_header(header, value)
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.end_headers()
        if body:
            self.wfile.write(content)


@pytest.fixture
def server(tmp_path, monkeypatch) -> TinyHub:
    """A running Hub with the golden artifact, and an empty cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_PROGRESS_BARS", True)
    with TinyHub() as running:
        endpoint = f"http://127.0.0.1:{running.server_port}"
        at_server = lambda name, revision: hub.HubFiles(name, revision, endpoint=endpoint)  # noqa: E731
        monkeypatch.setattr(files, "HubFiles", at_server)
        running.publish(GOLDEN / "schema_1")
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def stop(server: TinyHub) -> None:
    """From now on every question fails as if the server were down."""
    server.refuse = (503, "")


def test_only_what_is_asked_for_is_downloaded(server):
    artifact = Artifact.load("org/name")
    assert artifact.id == "org/name"
    assert server.served == ["hsae.json"]
    assert artifact.sae("block_02").d_sae == 16
    assert server.served == ["hsae.json", "block_02/cfg.json", "block_02/sae_weights.safetensors"]
    Artifact.load("org/name").sae("block_02")
    assert len(server.served) == 3


def test_main_is_followed_and_a_commit_is_not(server, tmp_path):
    first = server.main
    before = Artifact.load("org/name")
    server.publish(Artifact.load(GOLDEN / "schema_1", layers="block_01").save(tmp_path / "newer"))
    assert Artifact.load("org/name").layers == ("block_01",)
    assert Artifact.load("org/name", revision=first).layers == ("block_01", "block_02")
    assert before.sae("block_02").d_sae == 16  # opened before the push, so still of the first commit


def test_the_cache_does_when_the_hub_is_down(server):
    Artifact.load("org/name").curves  # noqa: B018
    stop(server)
    artifact = Artifact.load("org/name")
    assert artifact.curves["block_01"]["l0"] == 4
    with pytest.raises(ArtifactError, match="cannot be reached"):
        artifact.tree  # noqa: B018


def test_a_file_of_the_hub_is_checked_like_any_other(server, tmp_path):
    broken = Path(shutil.copytree(GOLDEN / "schema_1", tmp_path / "broken"))
    (broken / "tree.json").write_text("{}")
    server.publish(broken)
    with pytest.raises(ArtifactError, match="sha256"):
        Artifact.load("org/name").tree  # noqa: B018


def test_every_failure_has_its_own_words(server, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    server.commits["0" * 40] = empty
    failures = {
        "has no model org/other": lambda: Artifact.load("org/other"),
        "has no revision v9": lambda: Artifact.load("org/name", revision="v9"),
        r"has no file hsae\.json": lambda: Artifact.load("org/name", revision="0" * 40),
        "is no revision": lambda: Artifact.load("org/name", revision="../x"),
        "is no name": lambda: Artifact.load("org/na--me"),
    }
    for message, load in failures.items():
        with pytest.raises(ArtifactError, match=message):
            load()
    server.refuse = (403, "GatedRepo")
    with pytest.raises(ArtifactError, match="is gated"):
        Artifact.load("org/name")
    stop(server)
    with pytest.raises(ArtifactError, match="cannot be reached"):
        Artifact.load("org/name")


def test_make_artifact_is_what_the_hub_serves(server, tmp_path):
    """Control: a download is byte for byte what was saved."""
    saved = make_artifact().save(tmp_path / "again")
    server.publish(saved)
    assert Artifact.load("org/name").sha256 == Artifact.load(saved).sha256
