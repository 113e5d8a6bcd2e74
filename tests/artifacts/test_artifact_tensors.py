"""Every defect of an SAE's configuration or of a tensor file is refused, before anything is allocated."""

from __future__ import annotations

import json
import struct

import pytest
import torch
from safetensors.torch import load_file, save_file

from hsae.artifacts.index import Layer
from hsae.artifacts.sae_folder import check_sae
from hsae.sae.model import SparseAutoencoder
from tests.artifacts.conftest import edit_json, refused, refused_after_rehash

CFG, WEIGHTS = "block_01/cfg.json", "block_01/sae_weights.safetensors"

CFG_DEFECTS = {
    "not an object": lambda x: [x],
    "unknown architecture": lambda x: x.update(architecture="jumprelu"),
    "architecture is a list": lambda x: x.update(architecture=["topk"]),
    "k of 0": lambda x: {**x, "k": 0, "metadata": {**x["metadata"], "k": 0}},
    "k above d_sae": lambda x: {**x, "k": 17, "metadata": {**x["metadata"], "k": 17}},
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
    refused_after_rehash(folder, "block_01")


def change(name: str, make):
    """A defect: the tensor `name` becomes `make(tensor)`, or goes away for None."""

    def apply(tensors: dict[str, torch.Tensor]) -> None:
        made = make(tensors.pop(name, torch.zeros(1)))
        tensors.update({} if made is None else {name: made})

    return apply


def first(value: float):
    """The tensor with another first value."""
    return lambda tensor: torch.cat([torch.tensor([value], dtype=tensor.dtype), tensor.flatten()[1:]]).view(
        tensor.shape
    )


TENSOR_DEFECTS = {
    "missing": (WEIGHTS, change("b_enc", lambda t: None), "b_enc"),
    "extra": (WEIGHTS, change("threshold", lambda t: t.half()), "threshold"),
    "transposed": (WEIGHTS, change("W_enc", lambda t: t.T.contiguous()), "shape"),
    "flattened": (WEIGHTS, change("W_dec", lambda t: t.flatten()), "shape"),
    "longer": (WEIGHTS, change("b_dec", lambda t: torch.zeros(9).half()), "shape"),
    "in integers": (WEIGHTS, change("b_dec", lambda t: t.to(torch.int16)), "I16"),
    "in bfloat16": (WEIGHTS, change("b_dec", lambda t: t.bfloat16()), "BF16"),
    "in two types": (WEIGHTS, change("b_dec", lambda t: t.float()), "F32"),
    "NaN": (WEIGHTS, change("W_enc", first(float("nan"))), "NaN"),
    "infinite": (WEIGHTS, change("b_dec", first(float("inf"))), "infinity"),
    "infinities of both signs": (
        WEIGHTS,
        change("W_enc", lambda t: torch.full_like(t, torch.inf) * t.sign()),
        "infinity",
    ),
    "long decoder row": (WEIGHTS, change("W_dec", first(1.5)), "row of W_dec"),
    "empty decoder row": (WEIGHTS, change("W_dec", first(0.0)), "row of W_dec"),
    "probe missing": ("probes.safetensors", change("block_02.W", lambda t: None), "block_02.W"),
    "probe of no layer": ("probes.safetensors", change("block_03.b", lambda t: t), "block_03.b"),
    "probe with a class too few": ("probes.safetensors", change("block_02.b", lambda t: t[:3].clone()), "shape"),
    "probe in float16": ("probes.safetensors", change("block_02.b", lambda t: t.half()), "F16"),
    "probe that divides by 0": ("probes.safetensors", change("block_01.std", first(0.0)), "standard deviation"),
    "probe with NaN": ("probes.safetensors", change("block_01.W", first(float("nan"))), "NaN"),
}


@pytest.mark.parametrize("name", TENSOR_DEFECTS)
def test_defects_of_tensors(folder, name):
    path, apply, match = TENSOR_DEFECTS[name]
    tensors = load_file(folder / path)
    apply(tensors)
    save_file(tensors, folder / path)
    refused_after_rehash(folder, match)


def test_finite_weights_whose_sum_is_infinite_are_taken():
    sae = SparseAutoencoder(4, 6, "relu")
    torch.nn.init.eye_(sae.W_dec[:4])
    torch.nn.init.eye_(sae.W_dec[4:])
    torch.nn.init.constant_(sae.W_enc, 3e38)
    assert not sae.W_enc.sum().isfinite()
    assert check_sae(sae, Layer("block_01", 4, 6)) is sae


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
    "deeply nested": with_header(b"[" * 100_000),
    "tensors of a petabyte": with_header(HUGE),
    "negative offsets": with_header({"b_dec": {"dtype": "F16", "shape": [8], "data_offsets": [-16, 0]}}),
    "overlapping": with_header(
        {n: {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]} for n in ("b_dec", "b_enc")}, bytes(16)
    ),
    "more data than tensors": with_header(
        {"b_dec": {"dtype": "F16", "shape": [8], "data_offsets": [0, 16]}}, bytes(99)
    ),
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94.",
}


@pytest.mark.parametrize("path", [WEIGHTS, "probes.safetensors"])
@pytest.mark.parametrize("name", BAD_TENSOR_FILES)
def test_files_that_are_no_safetensors(folder, name, path):
    (folder / path).write_bytes(BAD_TENSOR_FILES[name])
    refused_after_rehash(folder, path)


def test_a_file_larger_than_its_tensors_is_not_even_hashed(folder):
    with (folder / WEIGHTS).open("r+b") as file:
        file.truncate(2**40)
    refused(folder, "bytes")
