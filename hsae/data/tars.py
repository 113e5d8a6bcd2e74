"""WebDataset tars: files of one name are one row, e.g. `0017.jpg` and `0017.cls`.

One pass over the headers finds where every file lies; images are then read in any order, straight from the tar. The
label is the text of `.cls`, else "label" or "cls" of `.json`, else the text of `.txt`: a WordNet id, a name of the
label map, or a class number of a known data set.
"""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hsae.data.folder import SUFFIXES
from hsae.data.labels import LabelMap, label_rows
from hsae.data.listing import Listing
from hsae.errors import InputError

LABELS = ("cls", "json", "txt")


@dataclass
class _Row:
    """One row of a tar: where its image lies, and the content of its label files."""

    key: str
    image: tuple[Path, int, int] | None = None  # tar, first byte, length
    labels: dict[str, Any] = field(default_factory=dict)


def list_tars(files: Sequence[Path], name: str, label_map: LabelMap = None) -> Listing:
    """List the rows of tar `files`, in the order given."""
    rows = [row for file in files for row in _index(file)]
    if not any(row.image for row in rows):
        expected = "tars of images with labels, e.g. 0017.jpg and 0017.cls"
        raise InputError(f"{name} holds no images", expected, "Check the files.")
    texts = [label_text(row.labels) for row in rows]
    names = sorted({text for text in texts if text is not None})
    number = {text: index for index, text in enumerate(names)}
    classes, labels = label_rows(names, (number.get(text) for text in texts), label_map, name)
    keys, images = [row.key for row in rows], [row.image for row in rows]
    contents = hashlib.sha256(str([image and image[2] for image in images]).encode()).hexdigest()
    return Listing(name, classes, labels, keys.__getitem__, partial(_image, images), contents=contents)


def label_text(labels: dict[str, Any]) -> str | None:
    """The class that the decoded label files of a row name, as text; None without one."""
    for kind in LABELS:
        value = labels.get(kind)
        if isinstance(value, dict):
            value = value.get("label", value.get("cls"))
        if value is not None and str(value).strip():
            return str(value).strip()
    return None


def _index(file: Path) -> list[_Row]:
    rows: dict[str, _Row] = {}
    try:
        with tarfile.open(file, "r:") as tar:
            for member in tar:
                key, kind = _key_and_kind(member.name)
                if member.isfile() and key and (f".{kind}" in SUFFIXES or kind in LABELS):
                    _add(rows.setdefault(key, _Row(key)), kind, file, tar, member)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise InputError(
            f"{file} cannot be read: {error}", "a whole, uncompressed tar", "Unpack or repair it."
        ) from error
    return list(rows.values())


def _add(row: _Row, kind: str, file: Path, tar: tarfile.TarFile, member: tarfile.TarInfo) -> None:
    if kind not in LABELS:
        row.image = (file, member.offset_data, member.size)
        return
    text = tar.extractfile(member).read().decode("utf-8")
    row.labels[kind] = json.loads(text) if kind == "json" else text


def _key_and_kind(path: str) -> tuple[str, str]:
    """WebDataset's rule: the name up to its first dot is the row, the rest says what the file holds."""
    folder, _, file = path.removeprefix("./").rpartition("/")
    stem, _, kind = file.partition(".")
    return f"{folder}/{stem}" if folder and stem else stem, kind.lower()


def _image(images: list[tuple[Path, int, int] | None], row: int) -> bytes | None:
    where = images[row]
    if where is None:
        return None
    path, first, length = where
    with path.open("rb") as tar:
        tar.seek(first)
        return tar.read(length)
