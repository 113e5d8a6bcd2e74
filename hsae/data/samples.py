"""Labelled images, decoded one at a time: the form in which every source of images enters hsae."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from hsae.data.ahead import done_ahead
from hsae.data.broken import BrokenRows
from hsae.data.folder import list_folder
from hsae.data.kept import KeptSquares, through
from hsae.data.labels import LabelMap, moved, placed
from hsae.data.listing import Listing
from hsae.data.sample import Sample, View, attempt, decode_sample, varied
from hsae.data.sources import check_limit, find_source
from hsae.data.starter import list_starter
from hsae.data.table import list_hub, list_parquet
from hsae.data.tars import list_tars
from hsae.errors import InputError


class Samples:
    """A randomly accessible sequence of samples; images are read and decoded only when asked for."""

    def __init__(self, listing: Listing, order: np.ndarray | None = None, copy: np.ndarray | None = None) -> None:
        self._listing = listing
        self._order = np.arange(len(listing.labels)) if order is None else order
        self._copy = np.zeros_like(self._order) if copy is None else copy
        self._broken = BrokenRows(listing.name)
        self._squares: tuple[KeptSquares, Callable[[Image.Image], Image.Image]] | None = None

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
        digest = hashlib.sha256("\0".join([*self.classes, *filter(None, [self._listing.form])]).encode())
        for row, label in enumerate(self.labels):
            digest.update(f"\0{self.key(row)}\0{label}".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    @cached_property
    def images_fingerprint(self) -> str:
        """sha256 over keys and sizes: the same images in the same order, whatever their labels."""
        digest = hashlib.sha256("\0".join(["images", self._listing.form, self._listing.contents]).encode())
        for row in range(len(self)):
            digest.update(f"\0{self.key(row)}".encode("utf-8", "surrogateescape"))
        return digest.hexdigest()

    @property
    def labelling(self) -> str:
        """sha256 that changes whenever a row has another label."""
        return self.fingerprint

    def labels_at(self, rows: Sequence[int]) -> list[int | None]:
        """The labels of these rows; decodes nothing."""
        return [self.labels[row] for row in rows]

    @property
    def skipped(self) -> list[str]:
        """Name and reason of every broken row met so far by iteration."""
        return self._broken.reasons

    @property
    def n_rows(self) -> int:
        """As `len`; of a SampleStream it is known only at its end."""
        return len(self)

    @property
    def expected(self) -> int:
        """As `len`; a SampleStream may know it before its end."""
        return len(self)

    def __len__(self) -> int:
        return len(self._order)

    def key(self, row: int) -> str:
        """The key of a row, without reading its image."""
        key, copy = self._listing.key(int(self._order[row])), int(self._copy[row])
        return f"{key} #{copy}" if copy else key

    @property
    def has_copies(self) -> bool:
        """Whether any row is a variation of its image (`augmented`)."""
        return bool(self._copy.any())

    def encoded(self, row: int) -> bytes | Path | None:
        """The encoded image of a row, or where it lies; None where it has none."""
        return self._listing.image(int(self._order[row]))

    def read(self, row: int) -> Sample:
        """Decode one row; raises ImageError, which names the key, when its image is broken."""
        if self._squares is None:
            return self._decode(row)
        (kept, crop), label = self._squares, self.labels[row]
        square = through(kept, row, lambda: crop(self._decode(row).image))
        return Sample(square, self.key(row), label, None if label is None else self.classes[label])

    def _decode(self, row: int) -> Sample:
        place, copy = int(self._order[row]), int(self._copy[row])
        sample = decode_sample(self.encoded(row), self.name, self.key(row), self.labels[row], self.classes)
        if copy:
            image, mask = varied(sample.image, sample.mask, seed=(place, copy))
            return replace(sample, image=image, mask=mask)
        return sample

    def rows(
        self, start: int = 0, stop: int | None = None, *, workers: int = 0, see: View | None = None
    ) -> Iterator[tuple[int, Sample | None]]:
        """Yield (row, sample) in order, with None for a broken row, which is logged and listed in `skipped`.

        workers: threads that decode ahead; see: applied by them to every sample. Raises InputError once, after 100
        rows or more, over 3 of them and over 1 % of them were broken.
        """
        return self.chosen(range(*slice(start, stop).indices(len(self))), workers=workers, see=see)

    def chosen(
        self, rows: Iterable[int], *, workers: int = 0, see: View | None = None
    ) -> Iterator[tuple[int, Sample | None]]:
        """As `rows`, of these rows in this order."""
        _ = self.labels  # made once, before threads ask for them
        for row, outcome in done_ahead(lambda row: (row, attempt(lambda: self.read(row), see)), rows, workers):
            yield row, self._broken.whole(row, outcome)

    def __iter__(self) -> Iterator[Sample]:
        return (sample for _, sample in self.rows() if sample is not None)

    def kept(self, folder: Path | str, side: int, crop: Callable[[Image.Image], Image.Image]) -> Samples:
        """The same rows as squares of `side` pixels, without masks, decoded once and then read from `folder`.

        crop: an image to its square (`Preprocessing.crop`). Rows chosen from the result are decoded again.
        """
        squares = Samples(self._listing, self._order, self._copy)
        squares._squares = KeptSquares(Path(folder), _kept_under(self), len(self), side), crop
        return squares

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
        classes, index = moved(self.classes, wnids)
        labels = [None if label is None else index[label] for label in self._listing.labels]
        return Samples(replace(self._listing, classes=classes, labels=labels), self._order, self._copy)

    def among(self, classes: tuple[str, ...]) -> Samples:
        """The same labels as places in a list of more classes; InputError unless all of its own are in it."""
        if classes == self.classes:
            return self
        index = placed(self.classes, classes)
        labels = [None if label is None else index[label] for label in self._listing.labels]
        return Samples(replace(self._listing, classes=classes, labels=labels), self._order, self._copy)


def _kept_under(samples: Samples) -> str:
    """What decoded images are kept under: labels do not change them, but another source may have the same keys."""
    return hashlib.sha256(
        f"{samples.name}\0{samples.images_fingerprint}".encode("utf-8", "surrogateescape")
    ).hexdigest()


def load_samples(
    source: str | Path | Sequence[str | Path],
    *,
    split: str | None = None,
    label_map: LabelMap = None,
    limit: int | None = None,
    shuffle_seed: int | None = None,
) -> Samples:
    """Open images: "starter", a folder (of class folders, or without labels), parquet or tar files, a Hub id.

    "starter:photos" are the packaged natural photographs alone, "starter:cutouts" those with a mask of the object.
    `split` is a folder under the root, a prefix of file names, or a split of a Hub data set (default: "train" where
    there is one). `label_map` ({name: wnid}, a CSV or JSON file of it, an index of Keras or Kaggle, "imagenet-1k",
    "cifar-100" or "cifar-10") names classes that are not wnids; "none" takes no labels. `shuffle_seed` permutes the
    rows, then `limit` keeps the first ones. Raises InputError, LabelError.
    """
    check_limit(limit)
    origin = find_source(source, split)
    if origin.kind == "starter" and (split or label_map):
        raise InputError("the starter was asked for with a split or label map", "neither: it has its own labels")
    make: dict[str, Callable[[], Listing]] = {
        "starter": lambda: list_starter(origin.name),
        "folder": lambda: list_folder(Path(origin.name).expanduser(), split, label_map),
        "parquet": lambda: list_parquet(origin.files, origin.name, label_map),
        "tar": lambda: list_tars(origin.files, origin.name, label_map),
        "hub": lambda: list_hub(origin.name, split, label_map),
    }
    listing = make[origin.kind]()
    rows = np.arange(len(listing.labels))
    if shuffle_seed is not None:
        rows = np.random.default_rng(shuffle_seed).permutation(rows)
    return Samples(listing, rows[:limit])
