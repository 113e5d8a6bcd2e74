"""Every way an artifact can be wrong is an ArtifactError that says what and where, raised before anything is allocated."""

from __future__ import annotations

import json
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save_file

from hsae.artifacts.artifact import Artifact
from hsae.errors import ArtifactError
from tests.artifacts.conftest import edit_json, read_all, rehash

CFG, WEIGHTS = "block_01/cfg.json", "block_01/sae_weights.safetensors"
TABLE, IMAGES = "block_01/latents.parquet", "block_01/top_images.json"


def test_the_unbroken_artifact_loads_after_rehashing(folder):
    rehash(folder)
    read_all(folder)


def refused(folder: Path, match: str) -> None:
    with pytest.raises(ArtifactError, match=match) as caught:
        read_all(folder)
    assert caught.value.expected


# --- hsae.json -------------------------------------------------------------------------------------------------------

DEEP = "[" * 100_000

INDEX_DEFECTS = {
    "newer schema": (lambda x: x.update(schema=2), "schema 2"),
    "schema true": (lambda x: x.update(schema=True), "schema True"),
    "schema missing": (lambda x: x.pop("schema") and None, "schema None"),
    "not an object": (lambda x: [x], "a list"),
    "field missing": (lambda x: x.pop("dataset") and None, "dataset missing"),
    "field unknown": (lambda x: x.update(extra=1), "extra"),
    "backbone field missing": (lambda x: x["backbone"].pop("token") and None, "token missing"),
    "backbone is text": (lambda x: x.update(backbone="dinov2"), "backbone: a str"),
    "fingerprint too short": (lambda x: x["backbone"].update(weights_sha256="ab"), "weights_sha256"),
    "token unknown": (lambda x: x["backbone"].update(token="register"), "token 'register'"),
    "token is a list": (lambda x: x["backbone"].update(token=[]), "token"),
    "image size": (lambda x: x["backbone"].update(image_size=10**6), "image_size"),
    "class by name": (lambda x: x["dataset"].update(classes=["dog"]), "classes"),
    "class twice": (lambda x: x["dataset"].update(classes=["n02085620"] * 4), "twice"),
    "no classes": (lambda x: x["dataset"].update(classes=[]), "0 classes"),
    "negative images": (lambda x: x["dataset"].update(n_images=-1), "n_images"),
    "fractional images": (lambda x: x["dataset"].update(n_images=1.5), "n_images"),
    "huge number of images": (lambda x: x["dataset"].update(n_images=10**300), "finite"),
    "tau above 1": (lambda x: x["taxonomy"].update(tau=1.5), "tau"),
    "no layers": (lambda x: x.update(layers=[]), "0 layers"),
    "layers by name": (lambda x: x.update(layers=["block_01"]), "layers"),
    "layer twice": (lambda x: x["layers"].append(x["layers"][0]), "twice"),
    "layer that climbs": (lambda x: x["layers"][0].update(name=".."), "the name"),
    "layer with a slash": (lambda x: x["layers"][0].update(name="a/b"), "the name"),
    "layer with a newline": (lambda x: x["layers"][0].update(name="block_01\n"), "text"),
    "d_in too large": (lambda x: x["layers"][0].update(d_in=16_385), "d_in 16385"),
    "d_sae too large": (lambda x: x["layers"][0].update(d_sae=1_000_001), "d_sae 1000001"),
    "d_sae true": (lambda x: x["layers"][0].update(d_sae=True), "d_sae True"),
    "file missing": (lambda x: x["files"].pop("tree.json") and None, "tree.json missing"),
    "file outside": (lambda x: x["files"].update({"../secret": "0" * 64}), "secret"),
    "absolute file": (lambda x: x["files"].update({"/etc/passwd": "0" * 64}), "passwd"),
    "hash is no hash": (lambda x: x["files"].update({"tree.json": "0"}), "tree.json"),
    "control character": (lambda x: x["dataset"].update(id="\x1b[2J"), "text"),
    "right-to-left override": (lambda x: x["dataset"].update(id="a\u202eb"), "text"),
    "lone surrogate": (lambda x: x["dataset"].update(id="\ud800"), "text"),
}


@pytest.mark.parametrize("name", INDEX_DEFECTS)
def test_defects_of_the_index(folder, name):
    change, match = INDEX_DEFECTS[name]
    edit_json(folder / "hsae.json", change)
    refused(folder, match)


BAD_JSON = {
    "empty": b"",
    "binary": bytes(range(256)),
    "not utf-8": b'{"a": "\xff"}',
    "deeply nested": DEEP.encode(),
    "nested 100": b"[" * 100 + b"]" * 100,
    "a key twice": b'{"schema": 1, "schema": 1}',
    "NaN": b'{"a": NaN}',
    "infinity by overflow": b'{"a": 1e999}',
    "endless integer": b'{"a": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("path", ["hsae.json", CFG, IMAGES, "curves.json", "tree.json"])
@pytest.mark.parametrize("name", BAD_JSON)
def test_json_that_is_none_or_too_much(folder, name, path):
    (folder / path).write_bytes(BAD_JSON[name])
    if path != "hsae.json":
        rehash(folder)
    refused(folder, Path(path).name)


@pytest.mark.parametrize("path", ["hsae.json", CFG, IMAGES, "curves.json", "tree.json"])
def test_json_beyond_its_size_is_not_even_read(folder, path):
    with (folder / path).open("r+b") as file:
        file.truncate(2**40)  # sparse: takes no room, but reading or hashing it would take an hour
    refused(folder, "1099511627776 bytes")


# --- files -----------------------------------------------------------------------------------------------------------

ALL_FILES = [CFG, WEIGHTS, TABLE, IMAGES, "probes.safetensors", "curves.json", "tree.json"]


@pytest.mark.parametrize("path", ALL_FILES)
def test_a_changed_file_is_refused(folder, path):
    content = bytearray((folder / path).read_bytes())
    content[-1] ^= 1
    (folder / path).write_bytes(content)
    refused(folder, "sha256")


@pytest.mark.parametrize("path", ["hsae.json", *ALL_FILES])
def test_a_missing_file_is_named(folder, path):
    (folder / path).unlink()
    refused(folder, "is missing")


@pytest.mark.parametrize("path", ["hsae.json", *ALL_FILES])
def test_a_folder_or_pipe_in_place_of_a_file_is_refused(folder, path):
    (folder / path).unlink()
    os.mkfifo(folder / path)
    refused(folder, "is missing")
    (folder / path).unlink()
    (folder / path).mkdir()
    refused(folder, "is missing")


@pytest.mark.parametrize("path", ["hsae.json", *ALL_FILES])
def test_a_link_that_leaves_the_folder_is_refused(folder, tmp_path, path):
    (folder / path).rename(tmp_path / "elsewhere")
    (folder / path).symlink_to(tmp_path / "elsewhere")
    refused(folder, "leads out")


def test_links_inside_the_folder_and_of_a_hub_snapshot_are_followed(folder, tmp_path):
    (folder / "tree.json").rename(folder / "real.json")
    (folder / "tree.json").symlink_to("real.json")
    read_all(folder)
    snapshot = tmp_path / "models--org--name" / "snapshots" / "abc"
    (snapshot.parents[1] / "blobs").mkdir(parents=True)
    shutil.copytree(folder, snapshot)
    (snapshot / "curves.json").rename(snapshot.parents[1] / "blobs" / "1")
    (snapshot / "curves.json").symlink_to("../../blobs/1")
    read_all(snapshot)


# --- cfg.json --------------------------------------------------------------------------------------------------------

CFG_DEFECTS = {
    "not an object": lambda x: [x],
    "unknown architecture": lambda x: x.update(architecture="jumprelu"),
    "architecture is a list": lambda x: x.update(architecture=["topk"]),
    "k of 0": lambda x: (x.update(k=0), x["metadata"].update(k=0)) and None,
    "k above d_sae": lambda x: (x.update(k=17), x["metadata"].update(k=17)) and None,
    "two ks": lambda x: x.update(k=5),
    "another d_in": lambda x: x.update(d_in=9),
    "another d_sae": lambda x: x.update(d_sae=17),
    "b_dec not applied": lambda x: x.update(apply_b_dec_to_input=False),
    "b_dec applied with 1": lambda x: x.update(apply_b_dec_to_input=1),
    "normalised input": lambda x: x.update(normalize_activations="layer_norm"),
    "extra key": lambda x: x.update(custom="x"),
    "no metadata": lambda x: x.pop("metadata") and None,
    "metadata is text": lambda x: x.update(metadata="x"),
    "unknown dtype": lambda x: x["metadata"].update(weights_dtype="bfloat16"),
    "dtype is not the file's": lambda x: x["metadata"].update(weights_dtype="float32"),
}


@pytest.mark.parametrize("name", CFG_DEFECTS)
def test_defects_of_the_sae_configuration(folder, name):
    edit_json(folder / CFG, CFG_DEFECTS[name])
    rehash(folder)
    refused(folder, "block_01")


# --- tensors ---------------------------------------------------------------------------------------------------------


def change(name: str, make):
    """A defect: the tensor `name` becomes `make(tensor)`, or goes away for None."""

    def apply(tensors: dict[str, torch.Tensor]) -> None:
        made = make(tensors.pop(name, torch.zeros(1)))
        tensors.update({} if made is None else {name: made})

    return apply


def first(value: float):
    """The tensor with another first value."""
    return lambda tensor: torch.cat([torch.tensor([value], dtype=tensor.dtype), tensor.flatten()[1:]]).view(tensor.shape)


TENSOR_DEFECTS = {
    "missing": (WEIGHTS, change("b_enc", lambda t: None), "b_enc"),
    "extra": (WEIGHTS, change("threshold", lambda t: t.half()), "threshold"),
    "transposed": (WEIGHTS, change("W_enc", lambda t: t.T.contiguous()), "shape"),
    "flattened": (WEIGHTS, change("W_dec", lambda t: t.flatten()), "shape"),
    "longer": (WEIGHTS, change("b_dec", lambda t: torch.zeros(9).half()), "shape"),
    "in integers": (WEIGHTS, change("b_dec", lambda t: t.to(torch.int16)), "I16"),
    "in bfloat16": (WEIGHTS, change("b_dec", lambda t: t.bfloat16()), "BF16"),
    "in two types": (WEIGHTS, change("b_dec", lambda t: t.float()), "float32"),
    "NaN": (WEIGHTS, change("W_enc", first(float("nan"))), "NaN"),
    "infinite": (WEIGHTS, change("b_dec", first(float("inf"))), "infinity"),
    "long decoder row": (WEIGHTS, change("W_dec", first(1.5)), "row of W_dec"),
    "empty decoder row": (WEIGHTS, change("W_dec", first(0.0)), "row of W_dec"),
    "probe missing": ("probes.safetensors", change("block_02.W", lambda t: None), "block_02.W"),
    "probe of no layer": ("probes.safetensors", change("block_03.b", lambda t: t), "block_03.b"),
    "probe with a class too few": ("probes.safetensors", change("block_02.b", lambda t: t[:3].clone()), "shape"),
    "probe in float16": ("probes.safetensors", change("block_02.b", lambda t: t.half()), "float16"),
    "probe that divides by 0": ("probes.safetensors", change("block_01.std", first(0.0)), "standard deviation"),
    "probe with NaN": ("probes.safetensors", change("block_01.W", first(float("nan"))), "NaN"),
}


@pytest.mark.parametrize("name", TENSOR_DEFECTS)
def test_defects_of_tensors(folder, name):
    path, apply, match = TENSOR_DEFECTS[name]
    tensors = load_file(folder / path)
    apply(tensors)
    save_file(tensors, folder / path)
    rehash(folder)
    refused(folder, match)


def with_header(header: dict | bytes, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


HUGE = {"W_enc": {"dtype": "F32", "shape": [2**40, 2**20], "data_offsets": [0, 2**62]}}
BAD_TENSOR_FILES = {
    "empty": b"",
    "cut in the length": b"\x08\0\0",
    "a header longer than the file": with_header({}, length=1000),
    "a header of 2^63 bytes": with_header({}, length=2**63),
    "a header of 90 MB": with_header({}, length=90_000_000),
    "no JSON": with_header(b"\xff\xfe"),
    "a list": with_header(b"[]"),
    "deeply nested": with_header(DEEP.encode()),
    "tensors of a petabyte": with_header(HUGE),
    "negative offsets": with_header({"b_dec": {"dtype": "F16", "shape": [8], "data_offsets": [-16, 0]}}),
    "overlapping": with_header(
        {n: {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]} for n in ("b_dec", "b_enc")}, bytes(16)
    ),
    "more data than tensors": with_header({"b_dec": {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]}}, bytes(99)),
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94.",
}


@pytest.mark.parametrize("path", [WEIGHTS, "probes.safetensors"])
@pytest.mark.parametrize("name", BAD_TENSOR_FILES)
def test_files_that_are_no_safetensors(folder, name, path):
    (folder / path).write_bytes(BAD_TENSOR_FILES[name])
    rehash(folder)
    refused(folder, path)


def test_a_file_larger_than_its_tensors_is_not_even_hashed(folder):
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(2**40)
    refused(folder, "bytes")


# --- tables ----------------------------------------------------------------------------------------------------------


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
    "neuron beyond d_in": (column("neuron", [8] + [0] * 15), "8"),
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
    rehash(folder)
    refused(folder, match)


@pytest.mark.parametrize(
    "options", [{"compression": "zstd"}, {"compression": "snappy"}, {"use_dictionary": True}, {"use_byte_stream_split": ["p999"]}]
)
def test_pages_that_could_expand_are_refused(folder, options):
    pq.write_table(pq.read_table(folder / TABLE), folder / TABLE, **(PLAIN | options))
    rehash(folder)
    refused(folder, "pages")


def test_plain_pages_in_several_row_groups_are_accepted(folder):
    """Control for the defects above: the options of this test file themselves are fine."""
    pq.write_table(pq.read_table(folder / TABLE), folder / TABLE, row_group_size=5, **PLAIN)
    rehash(folder)
    assert read_all(folder).latents("block_01")["frequency"].tolist() == (np.arange(16, dtype=np.float32) / 32).tolist()


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + bytes(100) + b"PAR1", b"PAR1" + b"\xff" * 8 + b"PAR1"])
def test_files_that_are_no_parquet(folder, content):
    (folder / TABLE).write_bytes(content)
    rehash(folder)
    refused(folder, TABLE)


def test_a_table_too_large_for_its_rows_is_not_read(folder):
    with (folder / TABLE).open("r+b") as file:
        file.truncate(2**30)
    refused(folder, "bytes")


# --- top images, curves, tree ----------------------------------------------------------------------------------------

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
    rehash(folder)
    refused(folder, "top images of block_01")


@pytest.mark.parametrize("path", ["curves.json", "tree.json"])
@pytest.mark.parametrize("value", [[], 3, {"a": "\x00"}, {"\x07": 1}, {"a": 2**60}, {"a": "x" * 20_000}])
def test_defects_of_curves_and_tree(folder, path, value):
    (folder / path).write_text(json.dumps(value))
    rehash(folder)
    refused(folder, path)


# --- what is asked for -----------------------------------------------------------------------------------------------


def test_an_unknown_layer_lists_the_known_ones(folder):
    artifact = Artifact.load(folder)
    for ask in (artifact.sae, artifact.latents, artifact.top_images, artifact.probe):
        with pytest.raises(ArtifactError, match="block_01, block_02"):
            ask("block_03")
    with pytest.raises(ArtifactError, match="block_01, block_02"):
        Artifact.load(folder, layers=["block_01", "block_99"])


@pytest.mark.parametrize("source", ["nowhere", "a/b/c", "../a/b", "", "org/na..me", "-/--", "org/name\n"])
def test_a_source_that_is_none_is_refused(source, monkeypatch):
    with pytest.raises(ArtifactError):
        Artifact.load(source)


def test_a_revision_of_a_folder_is_refused(folder):
    with pytest.raises(ArtifactError, match="revision"):
        Artifact.load(folder, revision="main")
