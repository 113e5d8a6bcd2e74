"""What is measured on a finished artifact: one of its optional documents, and no part of what a run wrote."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.defects import require
from hsae.artifacts.files import LocalFiles, sha256_of
from hsae.artifacts.index import EXTRAS, INDEX, MAX_INDEX_BYTES, Index
from hsae.artifacts.strangers_json import check_plain, read_document
from hsae.atomic import write_json
from hsae.errors import ArtifactError, InputError


def add_document(source: str | Path, name: str, value: Mapping[str, Any]) -> Path:
    """Write `value` as the document `name` of the artifact in a folder, in place of one that is there; its path.

    name: one of `EXTRAS`; value: plain JSON. Whenever it is broken off, the artifact stays whole: it is first without
    the document, then with the new one. InputError for another name, ArtifactError for a Hub model.
    """
    if name not in EXTRAS:
        raise InputError(f"document {name!r:.80}", f"one of {', '.join(EXTRAS)}")
    check_plain(dict(value), EXTRAS[name])
    artifact = Artifact.load(source)
    folder = on_disk(artifact)
    path, index = folder / EXTRAS[name], artifact.index
    kept = {file: sha for file, sha in index.files.items() if file != EXTRAS[name]}
    _write_index(folder, index, kept)
    write_json(path, dict(value), compact=True)
    _write_index(folder, index, kept | {EXTRAS[name]: sha256_of(path)})
    return path


def on_disk(artifact: Artifact) -> Path:
    """The folder that all of it lies in; ArtifactError for a Hub model, which nothing can be added to."""
    if artifact.folder is None:
        raise ArtifactError(
            f"{artifact.id} lies on the Hub", "a folder", "Save it first: Artifact.load(...).save(folder)"
        )
    return artifact.folder


def _write_index(folder: Path, index: Index, files: dict[str, str]) -> None:
    write_json(folder / INDEX, replace(index, files=files).to_json())


def content_sha256(folder: Path) -> str:
    """sha256 of hsae.json, leaving out the optional documents, after every file was compared with it.

    ArtifactError names a file that is missing or is not what hsae.json says.
    """
    files = LocalFiles(folder)
    index = Index.from_json(read_document(files.get(INDEX), INDEX, MAX_INDEX_BYTES))
    for path, expected in index.files.items():
        sha = sha256_of(files.get(path))
        require(sha == expected, str(folder / path), f"sha256 {sha}", f"{expected}, as {INDEX} says")
    written = replace(index, files={path: index.files[path] for path in index.required})
    return hashlib.sha256(json.dumps(written.to_json(), sort_keys=True).encode()).hexdigest()
