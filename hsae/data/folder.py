"""A folder of images: of class folders, `<root>/<class>/**/<image>`, or of anything, without labels."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from hsae.data.labels import GIVE_A_MAP, NO_LABELS, LabelMap, any_known, label_rows, listed
from hsae.data.listing import Listing
from hsae.errors import InputError, LabelError

_JPEG = {".jfif", ".jpe", ".jpeg", ".jpg", ".mpo"}
_NETPBM = {".pbm", ".pfm", ".pgm", ".pnm", ".ppm"}
SUFFIXES = frozenset({".avif", ".bmp", ".gif", ".png", ".tif", ".tiff", ".webp"} | _JPEG | _NETPBM)

_SPLITS = {"train", "val", "validation", "test"}

_log = logging.getLogger("hsae.data")


def list_folder(root: Path, split: str | None = None, label_map: LabelMap = None) -> Listing:
    """List the images in and below `root` (`root/split`), sorted by path; hidden files are ignored.

    The folders directly below it are classes: wnids, names of known data sets, or names in `label_map`; images beside
    them have no label. Without a label map, folders of which none could be a class are no classes, and no image has a
    label, which is logged. Raises InputError without images, LabelError where only some folders are known classes.
    """
    base = root / split if split else root
    images = _images(base)
    if not images:
        raise InputError(f"{base} holds no images", "a folder of images or of class folders", "Check path and split.")
    names = sorted({name for name in map(_class_of, images) if name is not None})
    if names and label_map is None and not any_known(names) and not _SPLITS & set(names):
        _log.warning("%s: none of its %d folder(s) is a known class (%s): its images are taken without labels. %s",
                     base, len(names), listed(names), GIVE_A_MAP)  # fmt: skip
        label_map = NO_LABELS
    number = {name: index for index, name in enumerate(names)}
    numbers = (None if name is None else number[name] for name in map(_class_of, images))
    try:
        classes, labels = label_rows(names, numbers, label_map, str(base))
    except LabelError as error:
        if not _SPLITS & set(names):
            raise
        raise LabelError(error.got, error.expected, "Is one of them a split? Then give `split`. " + error.do) from None
    return Listing(str(root), classes, labels, images.__getitem__, partial(_path, base, images))


def _images(base: Path) -> list[str]:
    """Sorted paths, relative to `base`, of all images; other files are logged."""
    files = set(_files(base)) if base.is_dir() else set()
    images = {path for path in files if os.path.splitext(path)[1].lower() in SUFFIXES}
    others = sorted(files - images)
    if others:
        _log.warning("skipped %d file(s) of %s that are no images: %s", len(others), base, listed(others))
    return sorted(images)


def _files(base: Path) -> Iterator[str]:
    for folder, below, files in os.walk(base, onerror=_fail, followlinks=True):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in files:
            if not name.startswith("."):
                yield Path(folder, name).relative_to(base).as_posix()


def _fail(error: OSError) -> None:
    raise InputError(f"the folder {error.filename} cannot be read: {error.strerror}", "a readable folder") from error


def _class_of(path: str) -> str | None:
    """The folder directly below the root; None for an image that is in no folder."""
    first, below, _ = path.partition("/")
    return first if below else None


def _path(base: Path, images: list[str], row: int) -> Path:
    return base / images[row]
