"""Samples of data sets too large to download: they come one after the other, and only what is read is fetched."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path

from hsae.data.ahead import done_ahead
from hsae.data.broken import BrokenRows
from hsae.data.labels import LabelMap
from hsae.data.sample import Sample, View, attempt, decode_sample
from hsae.data.sources import check_limit, find_source
from hsae.data.streamed import Row, StreamedRows, open_rows
from hsae.errors import ImageError, InputError


class SampleStream:
    """Samples in the order of their source, without random access; `rows` goes on cheaply where the last one ended.

    What takes `Samples` row by row takes a stream: `extract_activations`, `OnlineActivations`.
    """

    def __init__(self, source: StreamedRows, limit: int | None = None) -> None:
        self._source, self._limit = source, limit
        self._broken = BrokenRows(source.name)
        self._coming: Iterator[Row] = source.open()
        self._at = 0  # the row that `_coming` gives next
        self.n_rows: int | None = None
        """How many rows there are; None until the end was met."""

    @property
    def name(self) -> str:
        """What to print: a path, or "org/name"."""
        return self._source.name

    @property
    def classes(self) -> tuple[str, ...]:
        """Sorted wnids, known before any row."""
        return self._source.classes

    @property
    def expected(self) -> int | None:
        """How many rows there should be, by the limit and by what the source says of itself; None if neither does."""
        known = [number for number in (self._limit, self._source.expected) if number is not None]
        return self.n_rows if self.n_rows is not None else min(known, default=None)

    @property
    def fingerprint(self) -> str:
        """sha256 over files (a Hub commit, or names and sizes), classes and limit, which decide the rows."""
        return hashlib.sha256(f"{self._source.identity}\0{self.classes}\0{self._limit}".encode()).hexdigest()

    @property
    def images_fingerprint(self) -> str:
        """sha256 over files and limit: the same images, whatever their labels."""
        return hashlib.sha256(f"images\0{self._source.identity}\0{self._limit}".encode()).hexdigest()

    @property
    def labelling(self) -> str:
        """sha256 over what each class of the source stands for, and their list."""
        return hashlib.sha256(f"{self.classes}\0{sorted(self._source.index.items(), key=str)}".encode()).hexdigest()

    def labels_at(self, rows: Sequence[int]) -> list[int | None]:
        """The labels of these rows, in rising order; reads the stream once more, and decodes nothing."""
        wanted, stop = set(rows), max(rows, default=-1) + 1
        read = SampleStream(self._source, self._limit)._read(range(stop))
        return [content.label for row, content in read if row in wanted]

    @property
    def skipped(self) -> list[str]:
        """Name and reason of every broken row met so far."""
        return self._broken.reasons

    def rows(
        self, start: int = 0, stop: int | None = None, *, workers: int = 0, see: View | None = None
    ) -> Iterator[tuple[int, Sample | None]]:
        """As `Samples.rows`; a start behind the last row read skips what lies between, an earlier one opens anew.

        Raises InputError when the source breaks off, too.
        """
        if start < self._at:
            self._coming, self._at = self._source.open(), 0
        for _ in self._read(range(self._at, start)):
            pass
        span = count(start) if stop is None else range(start, stop)
        for row, outcome in done_ahead(lambda content: self._decode(*content, see), self._read(span), workers):
            yield row, self._broken.whole(row, outcome)

    def __iter__(self) -> Iterator[Sample]:
        return (sample for _, sample in self.rows() if sample is not None)

    def take(self, n: int) -> SampleStream:
        """The first `n` rows (or all, if there are fewer)."""
        return SampleStream(self._source, n if self._limit is None else min(n, self._limit))

    def shared(self, rank: int, of: int) -> SampleStream:
        """One of `of` parts, for one of as many processes: whole files where they can be dealt evenly, else rows.

        Rows are numbered within the part. Files are dealt when their number is a multiple of `of`; otherwise every
        process reads all files and keeps every of-th row.
        """
        if of == 1:
            return SampleStream(self._source, self._limit)
        limit = None if self._limit is None else len(range(rank, self._limit, of))
        return SampleStream(self._source.shared(rank, of), limit)

    def relabelled(self, wnids: Mapping[str, str | None]) -> SampleStream:
        """As `Samples.relabelled`."""
        return SampleStream(self._source.relabelled(wnids), self._limit)

    def among(self, classes: tuple[str, ...]) -> SampleStream:
        """As `Samples.among`."""
        return self if classes == self.classes else SampleStream(self._source.among(classes), self._limit)

    def _read(self, span: Iterable[int]) -> Iterator[tuple[int, Row]]:
        """The rows of a span that begins at the next one, until its end or the stream's."""
        for row in span:
            content = None if row in (self._limit, self.n_rows) else next(self._coming, None)
            if content is None:
                self.n_rows = self._at
                return
            self._at = row + 1
            yield row, content

    def _decode(self, row: int, content: Row, see: View | None) -> tuple[int, Sample | ImageError]:
        key = content.key or f"row {row}{self._source.part}"
        return row, attempt(lambda: decode_sample(content.image, self.name, key, content.label, self.classes), see)


def stream_samples(
    source: str | Path | Sequence[str | Path],
    *,
    split: str | None = None,
    label_map: LabelMap = None,
    limit: int | None = None,
    shuffle_seed: int | None = None,
) -> SampleStream:
    """Read a Hub data set, parquet or tar files row by row, without downloading or listing them first.

    As `load_samples`, but the classes must be known before the rows: from the data set's own list of class names, or as
    all classes in `label_map`. `shuffle_seed` permutes files, and rows within a window of 1000. Raises InputError,
    LabelError.
    """
    check_limit(limit)
    origin = find_source(source, split)
    if origin.kind in ("starter", "folder"):
        raise InputError(f"{origin.name} as a stream", "a Hub id, parquet or tar files", "Use load_samples for it.")
    return SampleStream(open_rows(origin, split, label_map, shuffle_seed), limit)
