from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from hsae.artifacts.documents.segmentation import read_segmentation, write_segmentation
from hsae.errors import InputError
from hsae.steering.segmentation.head import PatchHead, read_head, write_head

HEAD = PatchHead(torch.randn(5, 3), torch.randn(3), ("background", "n02084071", "wheel"))


def same(found: PatchHead, expected: PatchHead = HEAD, rtol: float = 1e-5) -> None:
    assert found.classes == expected.classes
    torch.testing.assert_close(found.W, expected.W, rtol=rtol, atol=1e-6)
    torch.testing.assert_close(found.b, expected.b, rtol=rtol, atol=1e-6)


def test_logits_are_linear():
    x = torch.randn(2, 4, 5)
    torch.testing.assert_close(HEAD.logits(x), torch.einsum("bpd,dc->bpc", x, HEAD.W) + HEAD.b)
    with pytest.raises(InputError, match="width 5"):
        HEAD.logits(torch.zeros(4))


def test_a_head_survives_json_and_files(tmp_path):
    same(read_segmentation(json.loads(json.dumps(write_segmentation(HEAD, {"scores": {}})))))
    same(read_head(write_head(HEAD, tmp_path / "head.safetensors")), rtol=0)
    np.savez(tmp_path / "head.npz", W=HEAD.W, b=HEAD.b, classes=np.array(HEAD.classes))
    same(read_head(tmp_path / "head.npz"), rtol=0)


@pytest.mark.parametrize(
    ("W", "b", "classes"),
    [
        (np.zeros((5, 3)), np.zeros(2), ("a", "b", "c")),
        (np.zeros((5, 3)), np.zeros(3), ("a", "b")),
        (np.zeros((5, 3)), np.zeros(3), ("a", "b", "b")),
        (np.zeros((5, 1)), np.zeros(1), ("a",)),
        (np.zeros(5), np.zeros(3), ("a", "b", "c")),
        (np.full((5, 3), np.nan), np.zeros(3), ("a", "b", "c")),
        (np.array([["x"] * 3] * 5), np.zeros(3), ("a", "b", "c")),
    ],
)
def test_what_is_no_head_is_refused(W, b, classes, tmp_path):
    np.savez(tmp_path / "head.npz", W=W, b=b, classes=np.array(classes))
    with pytest.raises(InputError, match=r"n_classes|finite"):
        read_head(tmp_path / "head.npz")


def test_files_of_other_kinds_are_refused(tmp_path):
    save_file({"W": np.zeros((5, 3), np.float32), "b": np.zeros(3, np.float32)}, tmp_path / "unnamed.safetensors")
    np.savez(tmp_path / "pickled.npz", W=HEAD.W, b=HEAD.b, classes=np.array(HEAD.classes, dtype=object))
    (tmp_path / "text.safetensors").write_text("no tensors")
    for name in ("unnamed.safetensors", "pickled.npz", "text.safetensors", "missing.npz"):
        with pytest.raises(InputError, match=name):
            read_head(tmp_path / name)
