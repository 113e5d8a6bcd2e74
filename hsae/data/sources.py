"""What a name of a source stands for: the starter, a folder, parquet or tar files, or a data set of the Hub."""

from __future__ import annotations

import glob
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hsae.data.starter import is_starter
from hsae.errors import InputError

_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
_KINDS: dict[str, Literal["parquet", "tar"]] = {".parquet": "parquet", ".tar": "tar"}


@dataclass(frozen=True)
class Source:
    """A source that was found, not yet opened."""

    kind: Literal["starter", "folder", "parquet", "tar", "hub"]
    name: str
    """As the caller wrote it."""
    files: tuple[Path, ...] = ()
    """Parquet or tar files in order; empty for the other kinds."""


def find_source(source: str | Path | Sequence[str | Path], split: str | None = None) -> Source:
    """Find out what `source` is; files are those of the `split`. Raises InputError, naming what was tried."""
    if not source:
        raise InputError("no source of images was named", "starter, a folder, parquet or tar files, or a Hub id")
    if is_starter(source):
        return Source("starter", str(source))
    if not isinstance(source, str | Path):
        return _files([Path(file).expanduser() for file in source], ", ".join(map(str, source)), split)
    path = Path(source).expanduser()
    if path.is_dir():
        files = _files_in(path, split)
        return _files(files, str(source), split) if files else Source("folder", str(source))
    files = [path] if path.is_file() else [Path(file) for file in sorted(glob.glob(str(path), recursive=True))]
    if files:
        return _files(files, str(source), split)
    if _HUB_ID.fullmatch(str(source)):
        return Source("hub", str(source))
    tried = "as the starter, a folder, a parquet or tar file, a glob and a Hub id (org/name)"
    raise InputError(
        f"{str(source)!r} is nothing that can be opened (tried {tried})", "one of these", "Check the path."
    )


def check_limit(limit: int | None) -> None:
    """InputError unless `limit` is None or a positive number."""
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit}", "a positive number of rows, or None for all")


def _files(files: Sequence[Path], name: str, split: str | None) -> Source:
    files = _of_split(files, split)
    wrong = [str(file) for file in files if file.suffix not in _KINDS or not file.is_file()]
    suffixes = sorted({file.suffix for file in files})
    if wrong or len(suffixes) != 1:
        got = f"{', '.join(wrong)} of {name}" if wrong else f"{name} with {len(suffixes)} kinds of files"
        got = got if files else f"{name} has no file for split={split!r}"
        raise InputError(got, "existing .parquet files, or existing .tar files")
    return Source(_KINDS[suffixes[0]], name, tuple(files))


def _files_in(folder: Path, split: str | None) -> list[Path]:
    """Sorted parquet (or else tar) files of the split in `folder` or its `data/`; without one, of train, or all."""
    for suffix in _KINDS:
        here = (path for where in (folder, folder / "data") for path in where.glob(f"*{suffix}"))
        files = sorted(path for path in here if not path.name.startswith("."))
        wanted = _of_split(files, split) if split else _of_split(files, "train") or files
        if wanted:
            return wanted
    return []


def _of_split(files: Sequence[Path], split: str | None) -> list[Path]:
    """Those of `files` called `<split>-*` or `<split>`; all without a split."""
    return [path for path in files if split is None or path.stem == split or path.name.startswith(f"{split}-")]
