"""Rows of a WebDataset tar, the same ones whether the tar lies here or arrives.

Files are of one group when their names are equal up to the first dot. In a group every image is a row, under its name
without the last suffix (`0003.crop.jpg`: `0003.crop`), except one that only adds to another: `4.mask.png` beside
`4.png`. A label file counts for the images whose names begin with its own, the closest for each: `1.cls` for
`1.left.jpg` and `1.right.jpg`, `22.05.cls` for `22.05.jpg`. Labels without an image are a row, too, a broken one.
"""

from __future__ import annotations

import json
import logging
import tarfile
from collections import ChainMap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import IO, Any, Generic, TypeVar

from hsae.data.folder import SUFFIXES
from hsae.data.limits import MAX_BYTES
from hsae.errors import InputError

LABELS = ("cls", "json", "txt")
MAX_LABEL = 1_000_000
"""Bytes of a label file."""

_MAX_PATH = 4096
_MAX_GROUP = 1000  # files of one group that a stream holds in memory

_log = logging.getLogger("hsae.data")

Content = TypeVar("Content")


@dataclass(frozen=True)
class TarFile(Generic[Content]):
    """An image or label file in a tar."""

    path: str
    content: Content | None = None
    """Whatever the reader of the tar makes of an image; None for a label, and for a link to something."""

    @property
    def group(self) -> str:
        """The path up to the first dot of its name."""
        folder, slash, name = self.path.rpartition("/")
        return folder + slash + name.partition(".")[0]

    @property
    def stem(self) -> str:
        """The path without the last suffix."""
        return self.path.rpartition(".")[0]

    @property
    def kind(self) -> str:
        """The last suffix, e.g. jpg."""
        return self.path.rpartition(".")[2].lower()

    @property
    def is_image(self) -> bool:
        """Whether it is called like an image."""
        return f".{self.kind}" in SUFFIXES


@dataclass(frozen=True)
class TarRow(Generic[Content]):
    """One row: its image, None where it has none, and its decoded label files by kind."""

    key: str
    image: Content | None
    labels: dict[str, Any]

    @property
    def label(self) -> str | None:
        """The class that the label files name, as text; None without one."""
        return label_text(self.labels)


def label_text(labels: dict[str, Any]) -> str | None:
    """The text of "cls", else "label" or "cls" of "json", else the text of "txt"; None without one."""
    for kind in LABELS:
        value = labels.get(kind)
        if isinstance(value, dict):
            value = value.get("label", value.get("cls"))
        if value is not None and str(value).strip():
            return str(value).strip()
    return None


class Unread:
    """The files of a source that are no part of a row: counted, and named in one line of the log."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._n = 0
        self._first: list[str] = []

    def add(self, path: str) -> None:
        """Count a file."""
        self._n += 1
        self._first += [path] if len(self._first) < 10 else []

    def tell(self) -> None:
        """Log them."""
        if self._n:
            named = ", ".join(self._first) + (" ..." if self._n > len(self._first) else "")
            _log.warning("%d file(s) of %s are no part of a row and not read: %s", self._n, self._source, named)


def members(tar: tarfile.TarFile, unread: Unread) -> Iterator[tuple[tarfile.TarInfo, TarFile[Any]]]:
    """The image and label files of a tar, in its order."""
    for member in tar:
        path = member.name.removeprefix("./")
        file, name = TarFile[Any](path), path.rpartition("/")[2]
        is_visible = "." in name and not name.startswith(".") and len(path) <= _MAX_PATH
        if is_visible and (file.is_image or file.kind in LABELS):
            yield member, file
        elif not member.isdir():
            unread.add(path)
        tar.members = []  # type: ignore[attr-defined]  # or it would keep all headers


def rows_of_group(files: Sequence[TarFile[Content]], labels: dict[str, Any], unread: Unread) -> list[TarRow[Content]]:
    """The rows of the files of one group; labels: what is in its label files, by path."""
    images: dict[str, TarFile[Content]] = {}
    given: dict[str, dict[str, Any]] = {}  # content of label files by stem and kind
    for file in files:
        if file.is_image:
            images.setdefault(file.stem, file)
        elif file.path in labels:
            given.setdefault(file.stem, {})[file.kind] = labels[file.path]
    rows = {stem: image for stem, image in images.items() if stem in given or images.keys().isdisjoint(_begins(stem))}
    used = {begin for stem in rows for begin in [*_begins(stem), stem]}
    alone = [stem for stem in given if stem not in used and (rows.keys() | given.keys()).isdisjoint(_begins(stem))]
    for file in files:
        is_read = file.stem in used or file.stem in alone if file.path in labels else rows.get(file.stem) is file
        if not is_read:
            unread.add(file.path)
    with_image = [TarRow(stem, image.content, _labels_of(stem, given)) for stem, image in rows.items()]
    return with_image + [TarRow(stem, None, given[stem]) for stem in alone]


def _labels_of(stem: str, given: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """By kind what the label file says whose name is the longest that `stem` begins with."""
    return dict(ChainMap(*(given.get(begin, {}) for begin in [stem, *reversed(_begins(stem))])))


def _begins(stem: str) -> list[str]:
    """What a stem begins with, up to one of its dots: `a/22` and `a/22.05` of `a/22.05.crop`."""
    folder, slash, name = stem.rpartition("/")
    parts = name.split(".")
    return [folder + slash + ".".join(parts[:n]) for n in range(1, len(parts))]


def streamed_rows(stream: IO[bytes], name: str) -> Iterator[TarRow[bytes]]:
    """Rows of the tar that arrives as `stream`, each as soon as a file of another group comes.

    InputError for a group that goes on after that or is very large, which only a tar that lies here can serve; TarError
    for no whole tar.
    """
    unread, done = Unread(name), set[str]()
    with tarfile.open(fileobj=stream, mode="r|") as tar:
        for group, members_of_group in groupby(members(tar, unread), key=lambda pair: pair[1].group):
            if group in done:
                got = f"the files of {group} in {name} are not side by side"
                raise InputError(got, "a tar in order", "Sort it (tar --sort=name), or use load_samples.")
            done.add(group)
            files: list[TarFile[bytes]] = []
            labels: dict[str, Any] = {}
            for member, file in members_of_group:
                labels |= read_label(tar, member, file, name)
                files.append(TarFile(file.path, _content(tar, member) if file.is_image else None))
                if len(files) > _MAX_GROUP:
                    got = f"over {_MAX_GROUP} files of {name} are called {group} up to their first dot"
                    raise InputError(got, "a few files a row", "Rename them, or use load_samples.")
            yield from rows_of_group(files, labels, unread)
    unread.tell()


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes | None:
    stream = tar.extractfile(member) if is_plain(member) else None
    return None if stream is None else stream.read(MAX_BYTES + 1)


def is_plain(member: tarfile.TarInfo) -> bool:
    """Whether the content of a member lies in the tar as it is."""
    return member.isreg() and not member.issparse()


def read_label(tar: tarfile.TarFile, member: tarfile.TarInfo, file: TarFile[Any], name: str) -> dict[str, Any]:
    """The content of a label file by its path, nothing for other files; InputError when it cannot be a label."""
    if file.is_image or not is_plain(member):
        return {}
    try:
        if member.size > MAX_LABEL:
            raise ValueError(f"it has {member.size:,} bytes")
        text = (_content(tar, member) or b"").decode("utf-8")
        return {file.path: json.loads(text) if file.kind == "json" else text}
    except ValueError as error:
        got = f"{file.path} of {name} is no label: {error}"
        raise InputError(got, f"text (UTF-8) or JSON of up to {MAX_LABEL:,} bytes", "Mend or remove it.") from error
