"""Labelled images, decoded one at a time: the form in which every source of images enters hsae."""

from __future__ import annotations

import glob
import hashlib
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from hsae.data.augment import varied
from hsae.data.decode import decode_with_mask
from hsae.data.folder import list_folder
from hsae.data.labels import LabelMap
from hsae.data.listing import Listing
from hsae.data.starter import list_starter
from hsae.data.table import list_hub, list_parquet, of_split, parquet_in
from hsae.errors import ImageError, InputError

_log = logging.getLogger("hsae.data")

_TOLERATED, _TOLERATED_SHARE, _JUDGED_AFTER = 3, 0.01, 100  # broken rows, their share, rows read before judging
_HUB_ID = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")


@dataclass(frozen=True)
class Sample:
    """One image with its label; cut-outs stand on white."""

    image: Image.Image  # RGB
    key: str  # unique in its source: path relative to the folder, "row 17", "animals/cat"
    label: int | None  # index into Samples.classes
    wnid: str | None
    mask: np.ndarray | None = None  # bool [height, width], True on the object (alpha >= 128); None without alpha


class Samples:
    """A randomly accessible sequence of samples; images are read and decoded only when asked for."""

    def __init__(self, listing: Listing, order: np.ndarray | None = None, copy: np.ndarray | None = None) -> None:
        self._listing = listing
        self._order = np.arange(len(listing.labels)) if order is None else order
        self._copy = np.zeros_like(self._order) if copy is None else copy
        self._met = bytearray(len(self._order))
        self._n_met = 0
        self._broken: dict[int, str] = {}

    @property
    def name(self) -> str:
        """What to print: "starter", a path, or "org/name"."""
        return self._listing.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Sorted wnids; a view keeps those of its source."""
        return self._listing.classes

    @cached_property
    def labels(self) -> list[int | None]:
        """For every row an index into `classes`, or None; decodes nothing."""
        return [self._listing.labels[row] for row in self._order.tolist()]

    @cached_property
    def fingerprint(self) -> str:
        """sha256 over classes, keys and labels: the same rows in the same order, whatever their pixels."""
        digest = hashlib.sha256("\0".join(self.classes).encode())
        for row, label in enumerate(self.labels):
            digest.update(f"\0{self.key(row)}\0{label}".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    @property
    def skipped(self) -> list[str]:
        """Name and reason of every broken row met so far by iteration."""
        return list(self._broken.values())

    def __len__(self) -> int:
        return len(self._order)

    def key(self, row: int) -> str:
        """The key of a row, without reading its image."""
        key, copy = self._listing.key(int(self._order[row])), int(self._copy[row])
        return f"{key} #{copy}" if copy else key

    def read(self, row: int) -> Sample:
        """Decode one row; raises ImageError, which names the key, when its image is broken."""
        key, label = self.key(row), self.labels[row]
        source = self._listing.image(int(self._order[row]))
        if source is None:
            raise ImageError(f"{key} of {self.name} has no image", "an image in every row")
        image, mask = decode_with_mask(source, name=f"{key} of {self.name}")
        if self._copy[row]:
            image, mask = varied(image, mask, seed=(int(self._order[row]), int(self._copy[row])))
        return Sample(image, key, label, None if label is None else self.classes[label], mask)

    def rows(self, start: int = 0, stop: int | None = None) -> Iterator[tuple[int, Sample | None]]:
        """Yield (row, sample) in order, with None for a broken row, which is logged and listed in `skipped`.

        Raises InputError once, after 100 rows or more, over 3 of them and over 1 % of them were broken.
        """
        for row in range(*slice(start, stop).indices(len(self))):
            sample = self._try(row)
            self._n_met += not self._met[row]
            self._met[row] = True
            self._judge()
            yield row, sample

    def __iter__(self) -> Iterator[Sample]:
        return (sample for _, sample in self.rows() if sample is not None)

    def take(self, n: int) -> Samples:
        """The first `n` rows (or all, if there are fewer)."""
        return self.subset(np.arange(len(self))[:n])

    def subset(self, rows: Sequence[int] | np.ndarray) -> Samples:
        """The given rows, in the order given."""
        rows = np.asarray(rows, dtype=np.int64)
        return Samples(self._listing, self._order[rows], self._copy[rows])

    def augmented(self, copies: int) -> Samples:
        """Every row `copies` times: as it is, then as random crops and mirror images that are the same every time."""
        if copies < 1:
            raise InputError(f"{copies} copies of every image", "1 or more")
        return Samples(self._listing, np.repeat(self._order, copies), np.tile(np.arange(copies), len(self)))

    def relabelled(self, wnids: Mapping[str, str | None]) -> Samples:
        """The same rows under other classes: {class: new class, or None for no label}; every class must be there."""
        missing = sorted(set(self.classes) - set(wnids))
        if missing:
            raise InputError(f"no new class for {', '.join(missing)}", "one for every class, or None")
        classes = tuple(sorted({new for new in wnids.values() if new is not None}))
        position = {wnid: index for index, wnid in enumerate(classes)}
        index = {old: position.get(wnids[name]) for old, name in enumerate(self.classes)}
        labels = [None if label is None else index[label] for label in self._listing.labels]
        return Samples(replace(self._listing, classes=classes, labels=labels), self._order, self._copy)

    def _try(self, row: int) -> Sample | None:
        try:
            return self.read(row)
        except ImageError as error:
            if row not in self._broken:
                self._broken[row] = str(error)
                _log.warning("skipped broken image %d of %s: %s", len(self._broken), self.name, error)
            return None

    def _judge(self) -> None:
        tolerated = max(_TOLERATED, _TOLERATED_SHARE * self._n_met)
        if self._n_met < _JUDGED_AFTER or len(self._broken) <= tolerated:
            return
        first = "".join(f"\n  {reason}" for reason in self.skipped[:10])
        got = f"{len(self._broken)} of {self._n_met} images read from {self.name} are broken, the first ones:{first}\n"
        raise InputError(got, "at most 1 % broken images", "Repair or remove them.")


def load_samples(
    source: str | Path | Sequence[str | Path],
    *,
    split: str | None = None,
    label_map: LabelMap = None,
    limit: int | None = None,
    shuffle_seed: int | None = None,
) -> Samples:
    """Open labelled images: "starter", a folder of class folders, parquet (folder, file, glob, list) or a Hub id.

    `split` is a folder under the root, a prefix of parquet file names, or a split of a Hub data set (default: "train"
    where there is one). `label_map` ({name: wnid}, or a CSV or JSON file) names classes that are not wnids.
    `shuffle_seed` permutes the rows, then `limit` keeps the first ones. Raises InputError, LabelError.
    """
    if not source:
        raise InputError("no source of images was named", "starter, a folder, parquet files or a Hub id")
    if limit is not None and limit < 1:
        raise InputError(f"limit={limit}", "a positive number of rows, or None for all")
    listing = _list(source, split, label_map)
    rows = np.arange(len(listing.labels))
    if shuffle_seed is not None:
        rows = np.random.default_rng(shuffle_seed).permutation(rows)
    return Samples(listing, rows[:limit])


def _list(source: str | Path | Sequence[str | Path], split: str | None, label_map: LabelMap) -> Listing:
    if source == "starter":
        if split or label_map:
            raise InputError("the starter was asked for with a split or label map", "neither: it has its own labels")
        return list_starter()
    if not isinstance(source, str | Path):
        return _list_files([Path(file).expanduser() for file in source], ", ".join(map(str, source)), split, label_map)
    path = Path(source).expanduser()
    if path.is_dir():
        files = parquet_in(path, split)
        return list_parquet(files, str(source), label_map) if files else list_folder(path, split, label_map)
    files = [path] if path.is_file() else [Path(file) for file in sorted(glob.glob(str(path), recursive=True))]
    if files:
        return _list_files(files, str(source), split, label_map)
    if _HUB_ID.fullmatch(str(source)):
        return list_hub(str(source), split, label_map)
    tried = "as the starter, a folder, a parquet file, a glob and a Hub id (org/name)"
    raise InputError(
        f"{str(source)!r} is nothing that can be opened (tried {tried})", "one of these", "Check the path."
    )


def _list_files(files: list[Path], name: str, split: str | None, label_map: LabelMap) -> Listing:
    files = of_split(files, split)
    wrong = [str(file) for file in files if file.suffix != ".parquet" or not file.is_file()]
    if wrong or not files:
        got = f"{', '.join(wrong)} of {name}" if wrong else f"{name} has no file for split={split!r}"
        raise InputError(got, "existing .parquet files")
    return list_parquet(files, name, label_map)
