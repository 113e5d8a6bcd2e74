"""Parquet files and data sets of the Hub, through `datasets`: rows stay in memory-mapped Arrow until one is read."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsae.data.labels import LabelMap, label_rows
from hsae.data.listing import Listing
from hsae.errors import InputError

if TYPE_CHECKING:
    from datasets import Dataset


def list_parquet(files: Sequence[Path], name: str, label_map: LabelMap = None) -> Listing:
    """List the rows of parquet `files`, in the order given."""
    patterns = [glob.escape(str(file)) for file in files]  # `datasets` takes every path for a pattern
    rows = _load(name, "parquet", data_files={"rows": patterns}, split="rows")
    return _listing(rows, name, label_map)


def list_hub(source: str, split: str | None = None, label_map: LabelMap = None) -> Listing:
    """List the rows of the Hub data set `source` ("org/name"); without a `split`, of "train"."""
    return _listing(_load(source, source, split=split or "train"), source, label_map)


def parquet_in(folder: Path, split: str | None = None) -> list[Path]:
    """Sorted parquet files in `folder` or its `data/` whose names begin with the split; without one, train or all."""
    files = sorted(path for where in (folder, folder / "data") for path in where.glob("*.parquet") if _visible(path))
    return of_split(files, split) if split else of_split(files, "train") or files


def of_split(files: Sequence[Path], split: str | None) -> list[Path]:
    """Those of `files` called `<split>-*.parquet` or `<split>.parquet`; all without a split."""
    return [path for path in files if split is None or path.stem == split or path.name.startswith(f"{split}-")]


def _visible(path: Path) -> bool:
    return not path.name.startswith(".")


def _load(name: str, *args: Any, **kwargs: Any) -> Dataset:
    import datasets

    try:
        return datasets.load_dataset(*args, **kwargs)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        expected = "an existing file or folder, or a Hub data set that can be reached and has this split"
        raise InputError(f"{name} cannot be loaded: {error}", expected, "Check name, split and network.") from error


def _listing(rows: Dataset, name: str, label_map: LabelMap) -> Listing:
    from datasets import Image

    column = _image_column(rows, name)
    names, numbers = _class_numbers(rows, name)
    classes, labels = label_rows(names, numbers, label_map, name)
    images = rows.select_columns([column]).cast_column(column, Image(decode=False))
    return Listing(name, classes, labels, "row {}".format, partial(_image, images, column))


def _image(images: Dataset, column: str, row: int) -> bytes | Path | None:
    cell = images[row][column]
    if cell is None:
        return None
    return cell["bytes"] or (Path(cell["path"]) if cell["path"] else None)


def _image_column(rows: Dataset, name: str) -> str:
    """The column of type Image, or of what an Image is stored as when the type was not written down."""
    from datasets import Image

    found = [c for c, kind in rows.features.items() if isinstance(kind, Image) or _is_stored_image(kind)]
    return _only(found, "image", name, rows)


def _is_stored_image(kind: Any) -> bool:
    return isinstance(kind, dict) and set(kind) == {"bytes", "path"}


def _only(found: list[str], preferred: str, name: str, rows: Dataset) -> str:
    if preferred in found or len(found) == 1:
        return preferred if preferred in found else found[0]
    got = f"{name} has {len(found)} {preferred} columns among {', '.join(rows.column_names)}"
    raise InputError(got, f"one, or one called {preferred!r}", "Rename or cast the columns of the data set.")


def _class_numbers(rows: Dataset, name: str) -> tuple[list[str], list[int | None]]:
    """Class names and each row's index into them, from the ClassLabel column or from one called "label"."""
    from datasets import ClassLabel, Value

    found = [c for c, kind in rows.features.items() if isinstance(kind, ClassLabel)]
    if found:
        column = _only(found, "label", name, rows)
        return rows.features[column].names, rows.data.column(column).to_pylist()
    if not isinstance(rows.features.get("label"), Value):
        return [], [None] * len(rows)
    values = [None if value is None else str(value) for value in rows.data.column("label").to_pylist()]
    names = sorted({value for value in values if value is not None})
    number = {value: index for index, value in enumerate(names)}
    return names, [None if value is None else number[value] for value in values]
