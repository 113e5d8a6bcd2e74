"""WebDataset tars: files of one name are one row, e.g. `0017.jpg` and `0017.cls` (`tar_rows` says which exactly).

One pass over the headers finds where every file lies; images are then read in any order, straight from the tar. The
label is the text of `.cls`, else "label" or "cls" of `.json`, else the text of `.txt`: a WordNet id, a name of the
label map, or a class number of a known data set.
"""

from __future__ import annotations

import hashlib
import tarfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsae.data.labels import LabelMap, label_rows
from hsae.data.limits import MAX_BYTES
from hsae.data.listing import Listing
from hsae.data.tar_rows import TarFile, TarRow, Unread, is_plain, members, read_label, rows_of_group
from hsae.errors import InputError

if TYPE_CHECKING:
    from datasets import DatasetBuilder

_Place = tuple[Path, int, int]  # tar, first byte, length


def list_tars(files: Sequence[Path], name: str, label_map: LabelMap = None) -> Listing:
    """List the rows of tar `files`, in the order given."""
    unread = Unread(name)
    rows = [row for file in files for row in _rows(file, unread)]
    unread.tell()
    if not any(row.image for row in rows):
        expected = "tars of images with labels, e.g. 0017.jpg and 0017.cls"
        raise InputError(f"{name} holds no images", expected, "Check the files.")
    texts = [row.label for row in rows]
    names = sorted({text for text in texts if text is not None})
    number: dict[str | None, int] = {text: index for index, text in enumerate(names)}
    classes, labels = label_rows(names, (number.get(text) for text in texts), label_map, name)
    keys, images = [row.key for row in rows], [row.image for row in rows]
    contents = hashlib.sha256(str([image and image[2] for image in images]).encode()).hexdigest()
    return Listing(name, classes, labels, keys.__getitem__, partial(_image, images), contents=contents)


def is_tars(builder: DatasetBuilder) -> bool:
    """Whether a data set is one of WebDataset tars, of which `datasets` reads what looks like the first rows."""
    from datasets.packaged_modules.webdataset.webdataset import WebDataset

    return isinstance(builder, WebDataset)


def tar_files(builder: DatasetBuilder, split: str) -> list[str]:
    """Paths or addresses of the tars of a split; ValueError without one."""
    splits = builder.config.data_files or {}
    if split not in splits:
        raise ValueError(f"it has no split {split!r}, but {', '.join(map(str, splits))}")
    return [str(file) for file in splits[split]]


def _rows(file: Path, unread: Unread) -> list[TarRow[_Place]]:
    groups: dict[str, list[TarFile[_Place]]] = {}
    labels: dict[str, Any] = {}
    try:
        with tarfile.open(file, "r:") as tar:
            for member, entry in members(tar, unread):
                labels |= read_label(tar, member, entry, file.name)
                place = (file, member.offset_data, member.size) if is_plain(member) else None
                groups.setdefault(entry.group, []).append(TarFile(entry.path, place))
    except (tarfile.TarError, OSError) as error:
        got = f"{file} cannot be read: {error}"
        raise InputError(got, "a whole, uncompressed tar", "Unpack or repair it.") from error
    return [row for files in groups.values() for row in rows_of_group(files, labels, unread)]


def _image(images: list[_Place | None], row: int) -> bytes | None:
    where = images[row]
    if where is None:
        return None
    path, first, length = where
    with path.open("rb") as tar:
        tar.seek(first)
        return tar.read(min(length, MAX_BYTES + 1))
