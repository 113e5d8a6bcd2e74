"""Every defect of latent tables, top images, curves and tree is refused."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.artifacts.conftest import edit_json, read_all, refused, refused_after_rehash, rehash

TABLE, IMAGES = "block_01/latents.parquet", "block_01/top_images.json"


def column(name: str, values: list, kind: pa.DataType | None = None):
    """A defect: a column with other values, of the type that is expected unless `kind` is given."""

    def apply(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(name)
        field = table.schema.field(place) if kind is None else pa.field(name, kind, nullable=False)
        return table.set_column(place, field, pa.array(values, field.type))

    return apply


def numbers(value: float) -> list[float]:
    return [value] + [0.0] * 15


TABLE_DEFECTS = {
    "row missing": (lambda t: t.slice(1), "15 rows"),
    "row too many": (lambda t: pa.concat_tables([t, t.slice(0, 1)]), "17 rows"),
    "column missing": (lambda t: t.drop_columns("p999"), "columns"),
    "column too many": (lambda t: t.append_column("extra", t["p999"]), "columns"),
    "column twice": (lambda t: t.append_column("p999", t["p999"]), "columns"),
    "columns in another order": (lambda t: t.select(t.column_names[::-1]), "columns"),
    "nullable": (lambda t: t.cast(pa.schema([f.with_nullable(True) for f in t.schema])), "columns"),
    "other type": (column("p999", numbers(1.0), pa.float64()), "columns"),
    "nested type": (column("p999", [[1.0]] * 16, pa.list_(pa.float32())), "columns"),
    "bytes for text": (column("label", [b"x"] * 16, pa.binary()), "columns"),
    "infinite": (column("mean", numbers(float("inf"))), "inf"),
    "negative": (column("max", numbers(-1.0)), "-1.0"),
    "share above 1": (column("frequency", numbers(1.5)), "1.5"),
    "cosine above 1": (column("neuron_cosine", numbers(1.5)), "1.5"),
    "neuron beyond any MLP": (column("neuron", [16 * 8] + [0] * 15), "128"),
    "classes beyond the list": (column("n_classes", [5] + [0] * 15), "5"),
    "node that is no wnid": (column("lch", ["dog"] + [None] * 15), "dog"),
    "node with a newline": (column("best_node", ["n02084071\n"] + [None] * 15), "n02084071"),
    "label with an escape": (column("label", ["\x1b]0;x\x07"] * 16), "printable"),
    "label with a line break": (column("label", ["a\nb"] * 16), "printable"),
    "label that turns the text": (column("label", ["\u202e"] * 16), "printable"),
    "long label": (column("label", ["x" * 201] * 16), "printable"),
    "very long label": (column("label", ["x" * 2000] * 16), "2000 bytes"),
}
PLAIN = {"compression": "none", "use_dictionary": False, "store_schema": False}


@pytest.mark.parametrize("name", TABLE_DEFECTS)
def test_defects_of_the_table(folder, name):
    apply, match = TABLE_DEFECTS[name]
    pq.write_table(apply(pq.read_table(folder / TABLE)), folder / TABLE, **PLAIN)
    refused_after_rehash(folder, match)


@pytest.mark.parametrize(
    "options",
    [{"compression": "zstd"}, {"compression": "snappy"}, {"use_dictionary": True}, {"use_byte_stream_split": ["p999"]}],
)
def test_pages_that_could_expand_are_refused(folder, options):
    pq.write_table(pq.read_table(folder / TABLE), folder / TABLE, **(PLAIN | options))
    refused_after_rehash(folder, "pages")


def test_plain_pages_in_several_row_groups_are_accepted(folder):
    """Control for the defects above: the options of this test file themselves are fine."""
    pq.write_table(pq.read_table(folder / TABLE), folder / TABLE, row_group_size=5, **PLAIN)
    rehash(folder)
    assert read_all(folder).latents("block_01")["frequency"].tolist() == (np.arange(16, dtype=np.float32) / 32).tolist()


def test_rows_are_counted_before_they_are_read(folder, monkeypatch):
    table = pq.read_table(folder / TABLE)
    pq.write_table(pa.concat_tables([table, table]), folder / TABLE, **PLAIN)
    monkeypatch.delattr(pq.ParquetFile, "read")
    refused_after_rehash(folder, "32 rows")


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"PAR1" + b"\xff" * 8 + b"PAR1"])
def test_files_that_are_no_parquet(folder, content):
    (folder / TABLE).write_bytes(content)
    refused_after_rehash(folder, TABLE)


def test_a_table_too_large_for_its_rows_is_not_read(folder):
    with (folder / TABLE).open("r+b") as file:
        file.truncate(2**30)
    refused(folder, "bytes")


IMAGE_DEFECTS = {
    "not a list": lambda x: {"0": x},
    "a latent too few": lambda x: x[1:],
    "an entry is a list": lambda x: [[], *x[1:]],
    "a key missing": lambda x: x[0].pop("starter") and None,
    "a key too many": lambda x: x[0].update(url="http://example.org"),
    "negative row": lambda x: x[0].update(dataset=[[-1, 1.0]]),
    "fractional row": lambda x: x[0].update(dataset=[[1.5, 1.0]]),
    "no pair": lambda x: x[0].update(dataset=[[1]]),
    "activation is text": lambda x: x[0].update(dataset=[[1, "2"]]),
    "negative activation": lambda x: x[0].update(dataset=[[1, -2.0]]),
    "rising activations": lambda x: x[0].update(dataset=[[1, 1.0], [2, 2.0]]),
    "too many": lambda x: x[0].update(dataset=[[1, 1.0]] * 65),
    "starter key is a number": lambda x: x[0].update(starter=[[1, 1.0]]),
    "starter key climbs": lambda x: x[0].update(starter=[["../../etc/passwd", 1.0]]),
    "starter key is absolute": lambda x: x[0].update(starter=[["/etc/passwd", 1.0]]),
    "starter key climbs on Windows": lambda x: x[0].update(starter=[["..\\x", 1.0]]),
}


@pytest.mark.parametrize("name", IMAGE_DEFECTS)
def test_defects_of_top_images(folder, name):
    edit_json(folder / IMAGES, IMAGE_DEFECTS[name])
    refused_after_rehash(folder, IMAGES)


NESTED = json.loads("[" * 40 + "]" * 40)


@pytest.mark.parametrize("path", ["curves.json", "tree.json"])
@pytest.mark.parametrize("value", [[], 3, {"a": "\x00"}, {"\x07": 1}, {"a": 2**60}, {"a": "x" * 20_000}, {"a": NESTED}])
def test_defects_of_curves_and_tree(folder, path, value):
    (folder / path).write_text(json.dumps(value))
    refused_after_rehash(folder, path)


def with_first(content: bytes, old: bytes, new: bytes) -> bytes:
    assert old in content
    return content.replace(old, new, 1)


BAD_PARQUET_BYTES = {
    # In a chunk's metadata, field 4 (codec, i32) follows the column's path: 0x15, then the zigzag value.
    "a codec that does not exist": lambda c: with_first(c, b"\x18\tfrequency\x15\x00", b"\x18\tfrequency\x15\x63"),
    "a negative codec": lambda c: with_first(c, b"\x18\tfrequency\x15\x00", b"\x18\tfrequency\x15\x01"),
    "text that is not UTF-8": lambda c: with_first(c, b"unassigned", b"una\xf0signed"[:10]),
    "a column renamed in the schema": lambda c: with_first(c, b"\x18\x03lch", b"\x18\x03lcx"),
}


@pytest.mark.parametrize("name", BAD_PARQUET_BYTES)
def test_bytes_that_would_end_the_process_or_escape_as_other_errors(folder, name):
    (folder / TABLE).write_bytes(BAD_PARQUET_BYTES[name]((folder / TABLE).read_bytes()))
    refused_after_rehash(folder, "latents")
