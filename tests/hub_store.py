"""What the Hub on loopback keeps: repositories of commits, large files by their sha256, and who may see them."""

from __future__ import annotations

import base64
import hashlib
import json
from dataclasses import dataclass, field
from typing import Any

import yaml

LARGE = (".safetensors", ".parquet", ".bin", ".pt")
Files = dict[str, bytes]


class Refused(Exception):
    """An answer with an error status, as the Hub words it."""

    def __init__(self, status: int, code: str, message: str, commit: str = "") -> None:
        super().__init__(message)
        self.status, self.body = status, json.dumps({"error": message}).encode()
        stated = {"X-Error-Code": code, "X-Error-Message": message, "X-Repo-Commit": commit}
        self.headers = {name: value for name, value in stated.items() if value}


@dataclass
class Repo:
    """Commits (whole trees), and the branches and tags that name them."""

    private: bool = False
    gated: bool = False
    commits: dict[str, Files] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files, branch: str = "main") -> str:
        """Let a branch be a new commit of exactly `files`."""
        content = "".join(f"{path} {self.oid(files[path])}\n" for path in sorted(files))
        sha = hashlib.sha1(f"{len(self.commits)} {content}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        return sha

    def at(self, revision: str) -> tuple[str, Files]:
        """Commit and files of a branch, tag or commit."""
        sha = self.branches.get(revision) or self.tags.get(revision) or revision
        if sha not in self.commits:
            raise Refused(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return sha, self.commits[sha]

    def apply(self, lines: list[dict[str, Any]], branch: str, lfs: dict[str, bytes]) -> str:
        """Commit the operations of an NDJSON body on a branch."""
        head, there = self.at(branch)
        files = dict(there)
        for line in lines:
            value, path = line["value"], line["value"].get("path", "")
            if line["key"] == "header" and value.get("parentCommit", head) != head:
                raise Refused(412, "", "A commit has happened since. Please refresh and try again.")
            if line["key"] == "file":
                files[path] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[path] = lfs[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[path]
        return self.commit(files, branch)

    def tree(self, revision: str) -> list[dict[str, Any]]:
        """Every file with its git id, and the sha256 of large ones."""
        entries = []
        for path, content in self.at(revision)[1].items():
            entry = {"type": "file", "path": path, "size": len(content), "oid": self.oid(content)}
            large = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content), "pointerSize": 132}
            entries.append(entry | ({"lfs": large} if self.is_large(path) else {}))
        return entries

    def folder(self, revision: str, under: str, recursive: bool) -> list[dict[str, Any]]:
        """The entries below a folder, those of its own folders as `directory` unless `recursive`."""
        inside = f"{under}/" if under else ""
        files = [entry for entry in self.tree(revision) if entry["path"].startswith(inside)]
        if inside and not files:
            raise Refused(404, "EntryNotFound", f"{under} does not exist on {revision}")
        deep = {inside + entry["path"].removeprefix(inside).split("/")[0] for entry in files} - {
            entry["path"] for entry in files
        }
        folders = [{"type": "directory", "path": path, "size": 0, "oid": self.oid(path.encode())} for path in deep]
        shown = files if recursive else [entry for entry in files if "/" not in entry["path"].removeprefix(inside)]
        return sorted(folders, key=lambda entry: entry["path"]) + shown

    def upload_plan(self, file: dict[str, Any], there: Files) -> dict[str, Any]:
        """How a file is to be sent, and what lies there now."""
        path, large = file["path"], self.is_large(file["path"])
        plan = {"path": path, "uploadMode": "lfs" if large else "regular", "shouldIgnore": False}
        if path in there:
            plan["oid"] = hashlib.sha256(there[path]).hexdigest() if large else self.oid(there[path])
        return plan

    @staticmethod
    def is_large(path: str) -> bool:
        return path.endswith(LARGE)

    @staticmethod
    def oid(content: bytes) -> str:
        """The id git gives a file."""
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Store:
    """All repositories by kind and id, and large files by sha256."""

    def __init__(self) -> None:
        self.repos: dict[tuple[str, str], Repo] = {}
        self.lfs: dict[str, bytes] = {}

    def keep(self, content: bytes) -> str:
        """Store a large file; returns its sha256."""
        oid = hashlib.sha256(content).hexdigest()
        self.lfs[oid] = content
        return oid

    def find(self, kind: str, repo_id: str, *, known: bool, write: bool) -> Repo:
        """A repository; strangers are told that private and missing ones do not exist, and may change none."""
        repo = self.repos.get((kind, repo_id))
        if repo is None or (repo.private and not known):
            raise Refused(404 if known else 401, "RepoNotFound", "Repository not found")
        if write:
            self.check_token(known)
        return repo

    @staticmethod
    def check_token(known: bool) -> None:
        if not known:
            raise Refused(401, "", "Invalid credentials in Authorization header")

    @staticmethod
    def card_errors(content: str) -> list[str]:
        """What is wrong with the front matter of a card, if it has one, as the Hub's documentation words it."""
        parts = content.split("---\n")
        if not content.startswith("---\n") or len(parts) < 3:
            return []
        try:
            about = yaml.safe_load(parts[1])
        except yaml.YAMLError as error:
            return [str(error)]
        if not isinstance(about, dict):
            return ["front matter must be a mapping"]
        lists = {key: about.get(key, []) for key in ("tags", "datasets")}
        errors = [f"{key} must be a list of strings" for key, value in lists.items() if not _texts(value)]
        texts = {key: about.get(key, "") for key in ("license", "library_name")}
        errors += [f"{key} must be text" for key, value in texts.items() if not isinstance(value, str)]
        return errors + [error for model in about.get("model-index", []) for error in _result_errors(model)]


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _result_errors(model: dict[str, Any]) -> list[str]:
    """model-index: every result needs task.type, dataset.name and .type, and metrics of a type and a value."""
    if not isinstance(model.get("name"), str):
        return ["model-index needs a name"]
    errors = []
    for result in model["results"]:
        if not {"type"} <= set(result.get("task", {})) or not {"type", "name"} <= set(result.get("dataset", {})):
            errors.append("a result needs task.type, dataset.type and dataset.name")
        if not all({"type", "value"} <= set(metric) for metric in result.get("metrics", [])):
            errors.append("a metric needs type and value")
    return errors
