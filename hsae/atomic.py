"""Write to a temporary name beside the target, then rename: a reader never sees half a file."""

from __future__ import annotations

import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def atomic_path(target: Path | str) -> Iterator[Path]:
    """Yield a temporary path, where the block makes a file or folder that becomes `target` when it ends well.

    A file replaces a file, and a folder replaces a folder as a whole. On any error the temporary path is removed and
    the target stays as it was. After a kill the temporary path may be left over; nothing ever reads it.
    """
    target = Path(target)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(target, "tmp")
    remove(temporary)
    try:
        yield temporary
        if temporary.is_dir() and target.is_dir():
            _replace_folder(temporary, target)
        else:
            os.replace(temporary, target)
    finally:
        remove(temporary)


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
