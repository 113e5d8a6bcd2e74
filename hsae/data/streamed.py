"""Rows of `datasets` as they arrive: the encoded image, its key and its class."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsae.data.labels import NO_LABELS, LabelMap, label_rows, moved, placed, read_label_map
from hsae.data.sources import Source
from hsae.data.table import class_column, encoded, image_column, loading, patterns
from hsae.data.tar_rows import LABELS, label_text, streamed_rows
from hsae.data.tars import is_tars, tar_files
from hsae.errors import InputError, LabelError

if TYPE_CHECKING:
    from datasets import DatasetBuilder, Features, IterableDataset

_FIRST = 5  # rows of a tar that tell whether it has labels
SHUFFLE_WINDOW = 1000
"""Rows held, encoded, to shuffle a stream."""
_FORMAT = {"parquet": "parquet", "tar": "webdataset"}


@dataclass(frozen=True)
class Row:
    """One row, not yet decoded."""

    key: str | None
    """None where the row has no name but its number."""
    image: bytes | Path | None
    label: int | None


@dataclass(frozen=True)
class StreamedRows:
    """A source that can be read from its beginning, as often as one likes."""

    name: str
    identity: str
    """Text that changes whenever other rows would come."""
    dataset: IterableDataset
    image: str
    """The column of images."""
    label: Callable[[dict[str, Any]], Hashable]
    """What a row has for a class: a number or a name; None for none."""
    index: dict[Hashable, int | None]
    """What a row can have for a class -> index into `classes`."""
    classes: tuple[str, ...]
    expected: int | None
    part: str = ""
    """ of share 1/4, for a share."""

    def open(self) -> Iterator[Row]:
        """All rows; InputError when the source breaks off, LabelError for a class that was not announced."""
        from datasets.exceptions import DatasetsError
        from huggingface_hub.errors import HTTPError  # type: ignore[attr-defined]  # public, imported without `as`

        number = 0
        try:
            for number, cells in enumerate(self.dataset, start=1):
                yield self._row(cells, number - 1)
        except (OSError, ValueError, EOFError, tarfile.TarError, HTTPError, DatasetsError) as error:
            got = f"{self.name} broke off after {number} rows{self.part}: {error}"
            do = "Run it again: an extraction goes on where it stopped."
            raise InputError(got, "a source that can be read to its end", do) from error

    def shared(self, rank: int, of: int) -> StreamedRows:
        """The part of one of `of` processes."""
        from datasets.distributed import split_dataset_by_node

        part = f" of share {rank + 1}/{of}"
        expected = None if self.expected is None else len(range(rank, self.expected, of))
        dataset = split_dataset_by_node(self.dataset, rank, of)
        return replace(self, dataset=dataset, identity=self.identity + part, part=part, expected=expected)

    def relabelled(self, wnids: Mapping[str, str | None]) -> StreamedRows:
        """The same rows under other classes."""
        classes, place = moved(self.classes, wnids)
        index = {value: None if old is None else place[old] for value, old in self.index.items()}
        return replace(self, classes=classes, index=index)

    def among(self, classes: tuple[str, ...]) -> StreamedRows:
        """The same rows with their classes as places in a list of more."""
        place = placed(self.classes, classes)
        index = {value: None if old is None else place[old] for value, old in self.index.items()}
        return replace(self, classes=classes, index=index)

    def _row(self, cells: dict[str, Any], number: int) -> Row:
        value = self.label(cells)
        if value is not None and value not in self.index:
            got = f"row {number}{self.part} of {self.name} has the class {value!r}"
            raise LabelError(got, "one that was announced", "Give `label_map` with all classes.")
        return Row(cells.get("__key__"), encoded(cells[self.image]), None if value is None else self.index[value])


def open_rows(source: Source, split: str | None, label_map: LabelMap, shuffle_seed: int | None) -> StreamedRows:
    """Open a Hub data set, parquet or tar files for streaming; nothing but headers, or the first rows, is read."""
    import datasets

    split = (split or "train") if source.kind == "hub" else "rows"
    with loading(source.name):
        builder = _builder(source)
        if is_tars(builder):
            return _open_tars(source, builder, split, label_map, shuffle_seed)
        dataset = builder.as_streaming_dataset(split)
        features = dataset.features or datasets.Features()
        image = image_column(features, source.name)
        label, index, classes = _labels(features, label_map, source.name)
        dataset = dataset.cast_column(image, datasets.Image(decode=False))
    if shuffle_seed is not None:
        dataset = dataset.shuffle(seed=shuffle_seed, buffer_size=SHUFFLE_WINDOW)
    splits = builder.info.splits or {}
    expected = splits[split].num_examples if split in splits else None
    identity = f"{_files(source, builder, split)}\0{split}\0{shuffle_seed}"
    return StreamedRows(source.name, identity, dataset, image, label, index, classes, expected or None)


def _open_tars(
    source: Source, builder: DatasetBuilder, split: str, label_map: LabelMap, shuffle_seed: int | None
) -> StreamedRows:
    import datasets

    files = tar_files(builder, split)
    try:
        first = list(islice(_tar_cells(files), _FIRST))
    except tarfile.TarError as error:
        raise InputError(
            f"{source.name} cannot be read: {error}", "whole, uncompressed tars", "Repair them."
        ) from error
    if len(first) < _FIRST and not any(cells["image"] for cells in first):
        raise InputError(f"{source.name} holds no images", "tars with images", "Check the files.")
    is_labelled = label_map is not None or any(cells["cls"] for cells in first)
    columns = ["__key__", *(["cls"] if is_labelled else [])]
    features = datasets.Features({column: datasets.Value("string") for column in columns})
    label, index, classes = _labels(features, label_map, source.name)
    dataset = datasets.IterableDataset.from_generator(_tar_cells, gen_kwargs={"files": files})
    if shuffle_seed is not None:
        dataset = dataset.shuffle(seed=shuffle_seed, buffer_size=SHUFFLE_WINDOW)
    identity = f"{_files(source, builder, split)}\0{split}\0{shuffle_seed}"
    # A label in a tar whose first rows have none is not announced.
    return StreamedRows(
        source.name, identity, dataset, "image", label if is_labelled else label_text, index, classes, None
    )


def _tar_cells(files: list[str]) -> Iterator[dict[str, Any]]:
    """Rows of tars as `datasets` passes them on, in the order of the files."""
    from datasets.utils.file_utils import xopen

    for file in files:
        with xopen(file, "rb") as stream:
            for row in streamed_rows(stream, file.rpartition("/")[2]):
                image = None if row.image is None else {"bytes": row.image, "path": None}
                yield {"__key__": row.key, "image": image, "cls": row.label}


def _builder(source: Source) -> DatasetBuilder:
    from datasets import load_dataset_builder

    if source.kind == "hub":
        return load_dataset_builder(source.name)
    return load_dataset_builder(_FORMAT[source.kind], data_files={"rows": patterns(source.files)})


def _files(source: Source, builder: DatasetBuilder, split: str) -> str:
    """What the rows come from: names with the commit on the Hub, names and sizes on the disk."""
    if source.kind == "hub":
        return f"{source.name} {builder.hash} {builder.config.name}"
    return ", ".join(f"{file.name} {file.stat().st_size}" for file in source.files)


def _labels(
    features: Features, label_map: LabelMap, name: str
) -> tuple[Callable[[dict[str, Any]], Hashable], dict[Hashable, int | None], tuple[str, ...]]:
    """How a row tells its class, the index of everything it can tell, and the classes."""
    if label_map == NO_LABELS:
        return lambda cells: None, {}, ()
    is_tar = "__key__" in features and any(kind in features for kind in LABELS)
    column = None if is_tar else class_column(features, name)
    if column is None and not is_tar:
        return lambda cells: None, {}, ()
    names = getattr(features.get(column), "names", None)
    known: dict[Hashable, int | None]
    if names is not None:
        classes, index = label_rows(names, range(len(names)), label_map, name)
        known = {**dict(enumerate(index)), -1: None}
        return itemgetter(column), known, classes
    if label_map is None:
        do = 'Give `label_map` with all classes ("imagenet-1k" where they are its class numbers or ids).'
        raise LabelError(f"{name} as a stream does not say which classes there are", "a list of them", do)
    mapping = read_label_map(label_map)
    classes, numbers = label_rows(list(mapping), range(len(mapping)), mapping, name)
    # As in a listing, where a class may stand under its id, too.
    known = {**{wnid: number for number, wnid in enumerate(classes)}, **dict(zip(mapping, numbers, strict=True))}
    return label_text if column is None else partial(_text, column), known, classes


def _text(column: str, cells: dict[str, Any]) -> str | None:
    return None if cells[column] is None else str(cells[column])
