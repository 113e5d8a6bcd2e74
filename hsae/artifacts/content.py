"""Whether a saved artifact still is what a run wrote, whatever was measured on it since."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

from hsae.artifacts.defects import require
from hsae.artifacts.files import LocalFiles, sha256_of
from hsae.artifacts.index import INDEX, MAX_INDEX_BYTES, Index
from hsae.artifacts.strangers_json import read_document


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
