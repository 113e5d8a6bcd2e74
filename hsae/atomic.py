"""Write to a temporary name beside the target, then rename: a reader never sees half a file."""

from __future__ import annotations

import json
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psutil import pid_exists
from safetensors import SafetensorError

from hsae.errors import WriteError

_LEFTOVER = re.compile(r"\.(?P<target>.+)\.(?P<pid>\d+)-\d+\.(?P<kind>tmp|old)")


@contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Yield a temporary path, where the block makes a file or folder that becomes `target` when it ends well.

    A file replaces a file, and a folder replaces a folder as a whole. On any error the temporary path is removed and
    the target stays as it was; WriteError when it cannot be written. After a kill it may be left over, in a hidden
    folder beside the target; nothing ever reads it, and `sweep` removes it.
    """
    target = Path(target)
    desk = _beside(target, "tmp")
    temporary = desk / "new"  # alone in a folder: what a library writes beside it first is swept with it
    try:
        remove(desk)
        desk.mkdir(parents=True)
    except OSError as error:
        raise _unwritable(target, error) from error
    try:
        yield temporary
        if temporary.is_dir() and target.is_dir():
            _replace_folder(temporary, target)
        else:
            os.replace(temporary, target)
    except (OSError, SafetensorError) as error:
        raise _unwritable(target, error) from error
    finally:
        remove(desk)


def write_text(target: Path | str, text: str) -> None:
    """Write `text` (UTF-8) to `target` atomically, with the same bytes on every platform: line ends are LF."""
    with atomic_path(target) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(target: Path | str, value: Any, *, compact: bool = False) -> None:
    """Write `value` to `target` atomically as JSON with sorted keys; NaN and infinity are refused.

    compact: on one line without spaces, for what no one reads but programs: about half as long.
    """
    layout: dict[str, Any] = {"separators": (",", ":")} if compact else {"indent": 1}
    write_text(target, json.dumps(value, sort_keys=True, allow_nan=False, **layout) + "\n")


def remove(path: Path) -> None:
    """Delete a file or a whole folder; a missing path is fine."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sweep(folder: Path | str) -> None:
    """Remove what killed processes left of `atomic_path` anywhere under `folder`, which may be missing.

    A folder that stepped aside for a new one that never came is put back. What a running process writes stays.
    """
    for parent, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            leftover = _LEFTOVER.fullmatch(name)
            if leftover and not _writes(int(leftover["pid"])):
                path, target = Path(parent, name), Path(parent, leftover["target"])
                if leftover["kind"] == "old" and not target.exists():
                    os.replace(path, target)
                else:
                    remove(path)
        folders[:] = [name for name in folders if not _LEFTOVER.fullmatch(name)]


def _writes(pid: int) -> bool:
    """Whether another process of that number runs here: this one leaves nothing over, so its number is reused."""
    return pid != os.getpid() and pid_exists(pid)


def _unwritable(target: Path, error: Exception) -> WriteError:
    reason = error.__cause__ if isinstance(error, WriteError) else error  # a file in a folder that is being written
    do = "Make room or choose another place, and run the same command again."
    return WriteError(f"{target} could not be written: {reason}", "a folder that can be written, with enough room", do)


def _beside(target: Path, suffix: str) -> Path:
    """A hidden name in the same folder that no other process or thread uses."""
    return target.with_name(f".{target.name}.{os.getpid()}-{threading.get_native_id()}.{suffix}")


def _replace_folder(temporary: Path, target: Path) -> None:
    """No system call replaces a folder that has files, so the old one steps aside first."""
    retired = _beside(target, "old")
    os.replace(target, retired)
    try:
        os.replace(temporary, target)
    except OSError:
        os.replace(retired, target)
        raise
    remove(retired)
