"""Where uploaded files lie until they are read: a folder of this process alone, bounded, swept, and gone at its end.

<folder>/lock is held while the process lives, so that the next one knows what a killed one left behind.
<folder>/files is what Gradio calls its cache (GRADIO_TEMP_DIR): <sha256>/<name> is an upload, tmp... a part of one.
"""

from __future__ import annotations

import atexit
import os
import re
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from filelock import FileLock, Timeout

MAX_AGE = 600.0  # seconds that an upload may lie unread
ROOM = 256 * 2**20  # bytes of all uploads together
_SWEEP_EVERY = 15.0  # seconds
_UNLOCKED_FOR = 60.0  # seconds
_LEAST = 4096  # bytes that even an empty file or folder takes
_PREFIX = "hsae-uploads-"
_NO_SURPRISE = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)  # no links, and no waiting for devices


class UploadFolder:
    """A new folder in `parent`, readable for this user alone; what processes that were killed left there is deleted."""

    def __init__(self, parent: Path | None = None) -> None:
        self._root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent)).resolve()
        self._lock = FileLock(self._root / "lock", mode=0o600)
        self._lock.acquire(timeout=0)
        self.path = self._root / "files"
        self.path.mkdir(mode=0o700)
        self._closed = threading.Event()
        self._remove_abandoned()
        threading.Thread(target=self._keep_swept, daemon=True, name="upload sweep").start()

    def content(self, path: str) -> bytes | None:
        """Bytes of the upload `path`; None for everything else, whether it exists or not."""
        if not self._names_an_upload(path):
            return None
        try:
            with open(path, "rb", opener=_regular_file) as file:
                return file.read()
        except OSError:
            return None

    def remove(self, path: str) -> None:
        """Delete the upload `path`; nothing else is ever touched."""
        if self._names_an_upload(path):
            with suppress(OSError):  # no file, or another visitor's request for the same picture was quicker
                os.unlink(path)

    def used(self) -> int:
        """Bytes taken; many tiny files count as the blocks they fill."""
        return sum(max(status.st_size, _LEAST) for _, status in _entries(self.path))

    def sweep(self, age: float = MAX_AGE) -> None:
        """Delete whatever was last written more than `age` seconds ago."""
        limit = time.time() - age
        for path, status in _entries(self.path):
            if status.st_mtime < limit:
                with suppress(OSError):  # a folder that is not empty, or a file that was just read
                    path.rmdir() if stat.S_ISDIR(status.st_mode) else path.unlink()

    def remove_parts(self) -> None:
        """Delete what uploads that broke off or were refused left; call it while none is under way."""
        for entry in os.scandir(self.path):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)

    def close(self) -> None:
        """Delete the folder."""
        self._closed.set()
        shutil.rmtree(self._root, ignore_errors=True)
        self._lock.release()

    def _names_an_upload(self, path: str) -> bool:
        """Whether the text is <files>/<sha256>/<name> to the letter, and no link leads elsewhere."""
        shape = rf"{re.escape(str(self.path) + os.sep)}[0-9a-f]{{64}}{re.escape(os.sep)}([^/\\\0]+)"
        match = re.fullmatch(shape, path)
        if match is None or match[1] in (".", ".."):
            return False
        try:
            return os.path.realpath(path) == path
        except (OSError, ValueError):  # a name that no file can have
            return False

    def _keep_swept(self) -> None:
        while not self._closed.wait(_SWEEP_EVERY):
            self.sweep()

    def _remove_abandoned(self) -> None:
        mine = self._root.stat().st_uid
        for folder in self._root.parent.glob(_PREFIX + "*"):
            with suppress(FileNotFoundError):  # its owner is removing it too
                status = folder.lstat()
                if stat.S_ISDIR(status.st_mode) and status.st_uid == mine and _is_abandoned(folder, status.st_mtime):
                    shutil.rmtree(folder, ignore_errors=True)


@cache
def upload_folder() -> UploadFolder:
    """The one of this process; Gradio puts everything it writes there, so call it before anything of Gradio is made."""
    folder = UploadFolder()
    os.environ["GRADIO_TEMP_DIR"] = str(folder.path)
    atexit.register(folder.close)
    return folder


def _entries(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Everything below a folder, what lies in a folder before the folder; links are not followed."""
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in (*files, *folders):
            path = Path(parent, name)
            try:
                status = path.lstat()
            except FileNotFoundError:  # just read and deleted
                continue
            yield path, status


def _regular_file(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | _NO_SURPRISE)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no regular file")
    return descriptor


def _is_abandoned(folder: Path, changed: float) -> bool:
    """Whether no living process holds the folder's lock; a folder without one may be a moment from having it."""
    lock = folder / "lock"
    if not lock.exists():
        return time.time() - changed > _UNLOCKED_FOR
    held = FileLock(lock)
    try:
        held.acquire(timeout=0)
    except Timeout:
        return False
    held.release()
    return True
