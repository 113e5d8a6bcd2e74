"""Parquet files and data sets of the Hub, through `datasets`: rows stay in memory-mapped Arrow until one is read."""

from __future__ import annotations

import glob
import hashlib
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsae.data.labels import NO_LABELS, LabelMap, label_rows
from hsae.data.listing import Listing
from hsae.data.tars import is_tars, list_tars, tar_files
from hsae.errors import InputError, LabelError

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Dataset, Features

LABELS = ("label", "labels", "fine_label", "wnid", "synset", "cls", "class", "class_name", "category", "target", "y")
"""What a column of labels is called when its type does not say so, the first one there."""

_log = logging.getLogger("hsae.data")


def list_parquet(files: Sequence[Path], name: str, label_map: LabelMap = None) -> Listing:
    """List the rows of parquet `files`, in the order given."""
    rows = _load(name, "parquet", data_files={"rows": patterns(files)}, split="rows")
    return _listing(rows, name, label_map)


def list_hub(source: str, split: str | None = None, label_map: LabelMap = None) -> Listing:
    """List the rows of the Hub data set `source` ("org/name"); without a `split`, of "train"."""
    import datasets

    with loading(source):
        builder = datasets.load_dataset_builder(source)
        if is_tars(builder):
            tars = datasets.DownloadManager().download(tar_files(builder, split or "train"))
            return list_tars([Path(file) for file in tars], source, label_map)
    return _listing(_load(source, source, split=split or "train"), source, label_map)


def _load(name: str, *args: Any, **kwargs: Any) -> Dataset:
    import datasets

    with loading(name):
        return datasets.load_dataset(*args, **kwargs)


@contextmanager
def loading(name: str) -> Iterator[None]:
    """Make an InputError of whatever `datasets` raises while it opens a source."""
    import datasets

    try:
        yield
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        expected = "an existing file or folder, or a Hub data set that can be reached and has this split"
        raise InputError(f"{name} cannot be loaded: {error}", expected, "Check name, split and network.") from error


def patterns(files: Sequence[Path]) -> list[str]:
    """Paths as `datasets` takes them: it takes every path for a pattern."""
    return [glob.escape(str(file)) for file in files]


def encoded(cell: dict[str, Any] | None) -> bytes | Path | None:
    """The encoded image of an undecoded cell, or where it lies; None without one."""
    if cell is None:
        return None
    return cell["bytes"] or (Path(cell["path"]) if cell["path"] else None)


def _listing(rows: Dataset, name: str, label_map: LabelMap) -> Listing:
    from datasets import Image

    column = image_column(rows.features, name)
    names, numbers = _class_numbers(rows, name, label_map)
    classes, labels = label_rows(names, numbers, label_map, name)
    images = rows.select_columns([column]).cast_column(column, Image(decode=False))
    contents = _contents(images.data.column(column))
    return Listing(name, classes, labels, "row {}".format, partial(_image, images, column), contents=contents)


def _contents(cells: pa.ChunkedArray) -> str:
    """sha256 over the sizes and paths of the encoded images: rows of other tables are called "row 0" too."""
    import pyarrow.compute as pc

    digest = hashlib.sha256()
    for chunk in cells.chunks:
        sizes = pc.binary_length(pc.struct_field(chunk, "bytes"))  # from offsets: no image is read
        digest.update(sizes.fill_null(-1).to_numpy(zero_copy_only=False).astype("<i8").tobytes())
        digest.update(
            "\0".join(map(str, pc.struct_field(chunk, "path").to_pylist())).encode("utf-8", "surrogateescape")
        )
    return digest.hexdigest()


def _image(images: Dataset, column: str, row: int) -> bytes | Path | None:
    return encoded(images[row][column])


def image_column(features: Features, name: str) -> str:
    """The column of type Image, or of what an Image is stored as when the type was not written down."""
    from datasets import Image

    columns = [c for c, kind in features.items() if isinstance(kind, Image) or _is_stored_image(kind)]
    return _only(columns, ("image",), name, features)


def class_column(features: Features, name: str, label_map: LabelMap = None) -> str | None:
    """The ClassLabel column (the finer one of CIFAR-100), or one of plain values with a name in `LABELS`.

    None where there is none, which is logged, or where no labels are wanted; LabelError when it holds lists.
    """
    from datasets import ClassLabel, Value

    if label_map == NO_LABELS:
        return None
    columns = [c for c, kind in features.items() if isinstance(kind, ClassLabel)]
    if columns:
        return _only(columns, ("label", "fine_label"), name, features)
    there = [c for c in LABELS if c in features]
    plain = [c for c in there if isinstance(features[c], Value)]
    if plain:
        return plain[0]
    if there:
        got = f"the column {there[0]!r} of {name} holds {features[there[0]]!s:.80}"
        raise LabelError(got, "one class a row", f"Keep one of them, or give the label map {NO_LABELS!r}.")
    do = f"A column of labels is of type ClassLabel or called {', '.join(LABELS)}."
    _log.warning("%s has no column of labels among %s: its images are taken without. %s", name, ", ".join(features), do)
    return None


def _is_stored_image(kind: Any) -> bool:
    return isinstance(kind, dict) and set(kind) == {"bytes", "path"}


def _only(columns: list[str], preferred: tuple[str, ...], name: str, features: Features) -> str:
    chosen = [column for column in preferred if column in columns][:1] or columns
    if len(chosen) == 1:
        return chosen[0]
    got = f"{name} has {len(columns)} {preferred[0]} columns among {', '.join(features)}"
    raise InputError(got, f"one, or one called {preferred[0]!r}", "Rename or cast the columns of the data set.")


def _class_numbers(rows: Dataset, name: str, label_map: LabelMap) -> tuple[list[str], list[int | None]]:
    """Class names and each row's index into them."""
    column = class_column(rows.features, name, label_map)
    if column is None:
        return [], [None] * len(rows)
    values = rows.data.column(column).to_pylist()
    names = getattr(rows.features[column], "names", None)
    if names is not None:
        return names, values
    texts = [None if value is None else str(value) for value in values]
    names = sorted({text for text in texts if text is not None})
    number = {text: index for index, text in enumerate(names)}
    return names, [None if text is None else number[text] for text in texts]
