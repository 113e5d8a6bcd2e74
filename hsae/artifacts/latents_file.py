"""latents.parquet: one row per latent, fixed columns; plain and uncompressed, so that nothing can expand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hsae.artifacts.defects import broken, require
from hsae.artifacts.index import WNID, Layer
from hsae.artifacts.parquet_footer import check_plain_pages
from hsae.artifacts.strangers_json import is_text
from hsae.report.columns import COLUMNS, MAX_LABEL, MAX_NEURONS, Column

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_MAX_ROW_BYTES = 4 * MAX_LABEL + 512
_SLACK = 1e-4  # a share or cosine computed in float32 may pass its bound by rounding


FIRST = tuple(column for column in COLUMNS if not column.later)
LATER = tuple(column for column in COLUMNS if column.later)
_TEXTS = ("wnid", "text")


def size_limit(layer: Layer) -> int:
    """Bytes a layer's table may take at most."""
    return 2**18 + _MAX_ROW_BYTES * layer.d_sae


def check_latents(frame: pd.DataFrame, layer: Layer, n_classes: int) -> pd.DataFrame:
    """The table with the columns, order and types of the format; columns that are left out become "not known"."""
    import pandas as pd

    where = f"latents of {layer.name}"
    unknown = [str(name) for name in frame.columns if name not in [column.name for column in COLUMNS]]
    known = ", ".join(column.name for column in COLUMNS)
    require(not unknown, where, f"the columns {', '.join(unknown):.200}", f"columns among {known}")
    require(frame.columns.is_unique, where, "a column twice", "every column once")
    require(len(frame) == layer.d_sae, where, f"{len(frame)} rows", f"{layer.d_sae}, one per latent")
    whole = frame.reindex(columns=[column.name for column in COLUMNS]).reset_index(drop=True)
    highest = {"neuron": MAX_NEURONS * layer.d_in - 1, "n_classes": n_classes}
    columns = (replace(column, high=highest.get(column.name, column.high)) for column in COLUMNS)
    return pd.DataFrame({c.name: _CHECKS[c.type](whole[c.name], c, f"{where}, {c.name}") for c in columns})


def write_latents(path: Path, frame: pd.DataFrame) -> None:
    """Write a checked table up to its last known column; equal tables give equal bytes under one version of pyarrow."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    written = _written(frame)
    columns = [pa.array(frame[c.name] if c.type in _TEXTS else frame[c.name].to_numpy()) for c in written]
    pq.write_table(
        pa.Table.from_arrays(columns, schema=_schema(written)),
        path,
        row_group_size=max(1, len(frame)),
        compression="none",
        use_dictionary=False,
        write_statistics=False,
        store_schema=False,
    )


def read_latents(path: Path, where: str, layer: Layer) -> pd.DataFrame:
    """The raw table of a layer, after its metadata shows that it is what it should be and no larger."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    check_plain_pages(path, where)
    try:
        with pq.ParquetFile(path, arrow_extensions_enabled=False) as file:
            schema = _checked_schema(file, where, layer)
        # Texts stay dictionaries until their lengths are known: one long text could stand in every row.
        texts = [column.name for column in COLUMNS if column.type in _TEXTS and column.name in schema.names]
        with pq.ParquetFile(path, read_dictionary=texts, arrow_extensions_enabled=False) as file:
            table = file.read(use_threads=False).combine_chunks()
        table.validate(full=True)  # texts are UTF-8
        for name in texts:
            _check_lengths(table[name], where)
        return table.cast(schema).to_pandas()
    except (pa.ArrowException, OSError, ValueError, LookupError) as error:
        raise broken(where, f"not readable as parquet ({error})", "a whole parquet table") from error


def _check_bools(series: pd.Series, column: Column, where: str) -> pd.Series:
    require(series.dtype == bool, where, f"values of type {series.dtype}", "True or False for every latent")
    return series


def _check_numbers(series: pd.Series, column: Column, where: str) -> pd.Series:
    try:
        numbers = series.astype("Float64").astype("float64")
    except (TypeError, ValueError) as error:
        raise broken(where, f"{series.dtype} values ({error})", column.type) from error
    if column.type == "int32":
        numbers = numbers.fillna(-1)
        require(bool((numbers % 1 == 0).all()), where, "a fraction or infinity", "whole numbers")
    odd = numbers[(numbers < column.low - _SLACK) | (numbers > column.high + _SLACK)]
    require(odd.empty, where, f"{odd.head(1).tolist()}", f"{column.low} to {column.high}")
    return numbers.astype(column.type)


def _check_wnids(series: pd.Series, column: Column, where: str) -> pd.Series:
    for text in series.dropna().unique():
        good = isinstance(text, str) and WNID.fullmatch(text) is not None
        require(good, where, f"{text!r:.80}", 'a WordNet id such as "n02084071", or missing')
    return series.astype("str")


def _check_texts(series: pd.Series, column: Column, where: str) -> pd.Series:
    for text in series.dropna().unique():
        require(is_text(text, MAX_LABEL), where, f"{text!r:.80}", f"at most {MAX_LABEL} printable characters")
    return series.astype("str")


_CHECKS = {
    "bool": _check_bools,
    "int32": _check_numbers,
    "float32": _check_numbers,
    "wnid": _check_wnids,
    "text": _check_texts,
}


def _written(frame: pd.DataFrame) -> tuple[Column, ...]:
    """The first columns, and the later ones as far as anything is known."""
    known = [number for number, column in enumerate(LATER, start=1) if _is_known(frame[column.name], column).any()]
    return COLUMNS[: len(FIRST) + max(known, default=0)]


def _is_known(values: pd.Series, column: Column) -> pd.Series:
    return values != -1 if column.type == "int32" else values.notna()


def _schema(columns: tuple[Column, ...]) -> pa.Schema:
    import pyarrow as pa

    types = {"float32": pa.float32(), "int32": pa.int32(), "bool": pa.bool_(), "wnid": pa.string(), "text": pa.string()}
    return pa.schema([pa.field(c.name, types[c.type], nullable=c.type in _TEXTS) for c in columns])


def _checked_schema(file: Any, where: str, layer: Layer) -> pa.Schema:
    """The schema the file must have: all first columns and any number of the later ones."""
    metadata = file.metadata
    require(metadata.num_rows == layer.d_sae, where, f"{metadata.num_rows} rows", f"{layer.d_sae}, one per latent")
    got = [(field.name, str(field.type), field.nullable) for field in file.schema_arrow]
    schema = _schema(COLUMNS[: max(len(got), len(FIRST))])
    expected = [(field.name, str(field.type), field.nullable) for field in schema]
    require(got == expected, where, f"the columns {got!s:.500}", f"{expected}")
    return schema


def _check_lengths(column: pa.ChunkedArray, where: str) -> None:
    import pyarrow.compute as pc

    longest = max((pc.max(pc.binary_length(chunk.dictionary)).as_py() or 0 for chunk in column.chunks), default=0)
    require(longest <= 4 * MAX_LABEL, where, f"a text of {longest} bytes", f"at most {MAX_LABEL} characters")
