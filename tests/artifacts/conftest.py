"""A good artifact to break, and the tools to do it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.files import sha256_of
from hsae.errors import ArtifactError

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the golden artifact, free to be broken."""
    return Path(shutil.copytree(GOLDEN / "schema_1", tmp_path / "artifact"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by relative path."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def edit_json(path: Path, change) -> None:
    """Apply `change` (returns the new value, or None after changing in place) to a JSON file."""
    value = json.loads(path.read_text())
    changed = change(value)
    path.write_text(json.dumps(value if changed is None else changed))


def rehash(folder: Path) -> None:
    """Let hsae.json agree with the files as they are now, so that only what is in them can be refused."""
    edit_json(
        folder / "hsae.json", lambda index: index["files"].update({p: sha256_of(folder / p) for p in index["files"]})
    )


def read_all(source: Path) -> Artifact:
    """Load an artifact and touch every part of it."""
    artifact = Artifact.load(source)
    for name in artifact.layers:
        for part in (artifact.sae, artifact.latents, artifact.top_images, artifact.probe):
            part(name)
    assert isinstance(artifact.curves, dict)
    assert isinstance(artifact.tree, dict)
    return artifact


def refused(folder: Path, match: str) -> None:
    """Reading all of the artifact ends in an ArtifactError that says what was expected, and matches."""
    with pytest.raises(ArtifactError, match=match) as caught:
        read_all(folder)
    assert caught.value.expected


def refused_after_rehash(folder: Path, match: str) -> None:
    """The same when the hashes agree, so that what is in the files has to be noticed."""
    rehash(folder)
    refused(folder, match)
