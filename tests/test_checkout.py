"""A clone made where git turns line ends into CRLF (Git for Windows' default) has the bytes of the repository."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from hsae.artifacts.artifact import Artifact
from hsae.errors import ArtifactError

ROOT = Path(__file__).resolve().parents[1]
STARTER = "hsae/starter/artifact"


def git(*words: str, folder: Path = ROOT) -> str:
    command = ["git", "-C", str(folder), "-c", "core.autocrlf=true", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """The last commit, cloned with core.autocrlf=true; no file is checked out yet."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a checkout by git")
    git(
        "clone",
        "--quiet",
        "--shared",
        "--no-checkout",
        "--config",
        "core.autocrlf=true",
        str(ROOT),
        str(tmp_path / "c"),
    )
    return tmp_path / "c"


def test_the_starter_opens_in_a_clone_with_crlf(clone):
    git("checkout", "HEAD", "--", ".", folder=clone)
    artifact = Artifact.load(clone / STARTER)
    last = artifact.layers[-1]
    assert artifact.curves[last]
    assert artifact.tree
    assert artifact.sae(last).d_sae == len(artifact.top_images(last)) == len(artifact.latents(last))
    listed = git("ls-files", "--eol", folder=clone).splitlines()
    assert [line for line in listed if "w/crlf" in line or "w/mixed" in line] == []


def test_without_the_rules_of_this_repository_it_does_not(clone):
    """Control: this git does change line ends, and the error says so."""
    (clone / ".git" / "info" / "attributes").write_text("* text=auto !eol\n")
    git("checkout", "HEAD", "--", STARTER, folder=clone)
    with pytest.raises(ArtifactError, match="CRLF"):
        assert Artifact.load(clone / STARTER).curves
