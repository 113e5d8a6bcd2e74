"""A folder of class folders: `<root>/<class>/**/<image>`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hsae.data.labels import LabelMap, label_rows
from hsae.data.listing import Listing
from hsae.errors import InputError, LabelError

_JPEG = {".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"}
_NETPBM = {".pbm", ".pfm", ".pgm", ".pnm", ".ppm"}
SUFFIXES = frozenset({".avif", ".bmp", ".gif", ".png", ".tif", ".tiff", ".webp"} | _JPEG | _NETPBM)

_log = logging.getLogger("hsae.data")


def list_folder(root: Path, split: str | None = None, label_map: LabelMap = None) -> Listing:
    """List the images under the class folders of `root` (of `root/split`), sorted by path; hidden files are ignored.

    Class folders are wnids or names in `label_map`. Raises InputError without images, LabelError for unknown classes.
    """
    base = root / split if split else root
    images = _images(base)
    if not images:
        expected = "a folder of class folders: <root>/<class>/<image>"
        raise InputError(f"{base} holds no images in class folders", expected, "Check the path and the split.")
    names = sorted({_class_of(path) for path in images})
    number = {name: index for index, name in enumerate(names)}
    try:
        classes, labels = label_rows(names, (number[_class_of(path)] for path in images), label_map, str(base))
    except LabelError as error:
        if not {"train", "val", "validation", "test"} & set(names):
            raise
        raise LabelError(error.got, error.expected, "Is one of them a split? Then give `split`. " + error.do) from None
    return Listing(str(root), classes, labels, images.__getitem__, partial(_path, base, images))


def _images(base: Path) -> list[str]:
    """Sorted paths, relative to `base`, of all images in class folders; other files are logged."""
    files = set(_files(base)) if base.is_dir() else set()
    images = {path for path in files if "/" in path and os.path.splitext(path)[1].lower() in SUFFIXES}
    others = sorted(files - images)
    if others:
        named = ", ".join(others[:10]) + (" ..." if len(others) > 10 else "")
        _log.warning("skipped %d file(s) of %s that are no images in class folders: %s", len(others), base, named)
    return sorted(images)


def _files(base: Path) -> Iterator[str]:
    for folder, below, files in os.walk(base, onerror=_fail, followlinks=True):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                yield Path(folder, name).relative_to(base).as_posix()


def _fail(error: OSError) -> None:
    raise InputError(f"the folder {error.filename} cannot be read: {error.strerror}", "a readable folder") from error


def _class_of(path: str) -> str:
    return path.split("/", 1)[0]


def _path(base: Path, images: list[str], row: int) -> Path:
    return base / images[row]
