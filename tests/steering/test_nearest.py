from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from hsae.artifacts.documents.starter import read_starter, write_starter
from hsae.data.samples import load_samples
from hsae.errors import ArtifactError, InputError
from hsae.steering.nearest import PhotoBank, photo_bank, starter_bank
from tests.tiny_models import tiny_dinov2

VECTORS = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-1.0, -2.0]]) + 100
BANK = PhotoBank("block_03", "cls", ("east", "north", "southwest"), VECTORS)


def test_nearest_is_by_angle_from_the_mean():
    assert [key for key, _ in BANK.nearest(torch.tensor([100.1, 109.0]))] == ["north", "east", "southwest"]
    (best,) = BANK.nearest(torch.tensor([105.0, 100.0]), top=1)
    assert best == ("east", pytest.approx(1.0))
    with pytest.raises(InputError, match=r"\(2,\)"):
        BANK.nearest(torch.zeros(3))


def test_a_bank_survives_json_up_to_half_precision():
    bank = PhotoBank("block_03", "cls", ("a", "b"), torch.randn(2, 32))
    again = read_starter(json.loads(json.dumps(write_starter(bank))))
    assert (again.layer, again.token, again.keys) == (bank.layer, bank.token, bank.keys)
    torch.testing.assert_close(again.vectors, bank.vectors.half().float())


@pytest.mark.parametrize(
    "change",
    [{"vectors": ["!!"]}, {"vectors": []}, {"vectors": None}, {"vectors": ["AAAA", "AAA="]}, {"keys": ["a"]}],
)
def test_a_broken_document_is_refused(change):
    with pytest.raises(ArtifactError, match="starter"):
        read_starter(write_starter(BANK) | change)
    infinite = PhotoBank("block_03", "cls", BANK.keys, VECTORS * np.inf)
    with pytest.raises(ArtifactError, match="finite"):
        read_starter(write_starter(infinite))


def test_photographs_are_nearest_to_themselves():
    backbone, samples = tiny_dinov2(), load_samples("starter").take(20)
    bank = photo_bank(backbone, samples, "block_03", "cls")
    assert bank.keys == tuple(sample.key for sample in samples)
    x = backbone.run([samples.read(17).image], ["block_03"])["block_03"][0, 0]
    assert bank.nearest(x)[0] == (samples.key(17), pytest.approx(1.0, abs=1e-4))


def test_a_stored_bank_spares_the_backbone():
    assert starter_bank(None, "block_03", "cls", BANK).keys == BANK.keys
    with pytest.raises(AttributeError):  # of another layer it cannot be used, and so the backbone is asked
        starter_bank(None, "block_02", "cls", BANK)
