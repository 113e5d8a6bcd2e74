"""Where an artifact's files come from: `get(relative path) -> local path`, so that only what is asked is fetched."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Protocol

from hsae.artifacts.defects import broken, require
from hsae.artifacts.hub import REPO_ID, HubFiles
from hsae.errors import ArtifactError

_STARTER = Path(__file__).parents[1] / "starter"
PACKAGED = {"starter": _STARTER / "artifact", "starter-patches": _STARTER / "patches"}
"""Where artifacts that come with the code lie, by name; the second is of patches of the same backbone."""
_LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_FETCH = "Run `git lfs install` and `git lfs pull` there, or load it by its name on the Hub"
_KEEP_LINE_ENDS = "Clone the repository again with `git clone -c core.autocrlf=false`"


class Files(Protocol):
    """The files of one artifact, wherever they lie."""

    def get(self, path: str) -> Path:
        """A local copy of the file at `path`, relative to the artifact; ArtifactError when there is none."""
        ...


class LocalFiles:
    """A folder; links may not lead out of it, except into the blobs of the Hub cache it is a snapshot in."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        root = folder.resolve()
        self._root = root.parents[1] if root.parent.name == "snapshots" else root

    def get(self, path: str) -> Path:
        """The file itself."""
        file = self.folder / path
        inside = Path(os.path.realpath(file)).is_relative_to(self._root)  # Path.resolve raises on loops of links
        require(inside, str(file), "leads out of the artifact", "a file inside the artifact's folder")
        if not file.is_file():
            raise ArtifactError(
                f"{file} is missing", "a whole artifact", "Get or save it again, or check the folder you named"
            )
        return file


class VerifiedFiles:
    """Files whose size and sha256 are checked when they are first asked for."""

    def __init__(self, files: Files, sha256: dict[str, str]) -> None:
        self._files, self._sha256 = files, sha256
        self._verified: dict[str, Path] = {}

    def get(self, path: str, limit: int) -> Path:
        """The local file, known to have at most `limit` bytes and the stated sha256."""
        if path not in self._verified:
            file = self._files.get(path)
            size = file.stat().st_size
            require(size <= limit, path, f"{size} bytes", f"at most {limit}")
            check_sha256(file, path, self._sha256[path])
            self._verified[path] = file
        return self._verified[path]


def open_files(source: str | Path, revision: str | None = None) -> Files:
    """The files of a packaged artifact, of a folder, or of a Hub model org/name at a revision."""
    folder = PACKAGED.get(str(source)) or Path(source)
    on_hub = isinstance(source, str) and not folder.is_dir() and REPO_ID.fullmatch(source) is not None
    if on_hub:
        return HubFiles(str(source), revision)
    if revision is not None:
        raise ArtifactError(f"revision {revision!r} of {source}", "no revision: it is not a Hub model")
    if not folder.is_dir():
        raise ArtifactError(
            f"There is no artifact {str(source)!r:.200}", '"starter", a folder, or a Hub model org/name'
        )
    return LocalFiles(folder)


def packaged() -> list[str]:
    """Names of the artifacts that are there without a Hub or a run."""
    return [name for name, folder in PACKAGED.items() if folder.is_dir()]


def check_sha256(path: Path, where: str, expected: str) -> None:
    """Raise ArtifactError unless the file has the sha256 of hsae.json; it names what git is known to do to files."""
    sha = sha256_of(path)
    if sha != expected:
        wrong = f"sha256 {sha}"
        if _is_lfs_pointer(path):
            raise broken(where, f"{wrong}: a git-lfs pointer, not the file itself", expected, _FETCH)
        if _had_line_feeds(path, expected):
            raise broken(where, f"{wrong}: git turned its line ends into CRLF", f"{expected} (LF)", _KEEP_LINE_ENDS)
        raise broken(where, wrong, f"{expected}, as hsae.json says")


def sha256_of(path: Path) -> str:
    """sha256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_lfs_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_LFS_POINTER)) == _LFS_POINTER


def _had_line_feeds(path: Path, expected: str) -> bool:
    """Whether the file is the expected one but for CRLF line ends."""
    content = path.read_bytes()
    return b"\r\n" in content and hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest() == expected
