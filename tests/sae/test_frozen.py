"""A frozen half stays random, and the other half learns."""

from __future__ import annotations

import pytest
import torch

from hsae.errors import InputError
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.train import train_bank
from tests.synthetic import planted, recovery, write_store


def trained(folder, frozen, activation="topk"):
    x, atoms = planted(2000, 12, 16, 2, zipf=0)
    store = write_store(folder / frozen, {"a": x[:, None]})
    train = TrainConfig(epochs=4, batch_size=128, frozen=frozen)
    sae = train_bank(store, SAEConfig(activation, d_sae=24, k=2), train, progress=False)["a"]
    fvu = (sae(x)[0] - x).pow(2).sum() / (x - x.mean(0)).pow(2).sum()
    return sae, atoms, fvu


def test_only_the_free_half_comes_near_the_planted_atoms(tmp_path):
    free, atoms, least = trained(tmp_path, "none")
    dec, _, with_random_decoder = trained(tmp_path, "decoder")
    enc, _, with_random_encoder = trained(tmp_path, "encoder")
    found = recovery(atoms, free.W_dec).mean()
    assert found > recovery(atoms, dec.W_dec).mean() + 0.1
    assert recovery(atoms, free.W_enc.T).mean() > recovery(atoms, enc.W_enc.T).mean() + 0.1
    assert least < min(with_random_decoder, with_random_encoder)
    assert max(with_random_decoder, with_random_encoder) < 1.5


@pytest.mark.parametrize("frozen", ["decoder", "encoder"])
def test_more_training_moves_a_frozen_half_by_nothing(tmp_path, frozen):
    x, _ = planted(600, 12, 16, 2)
    store = write_store(tmp_path, {"a": x[:, None]})
    saes = [
        train_bank(
            store, SAEConfig(d_sae=24, k=2), TrainConfig(epochs=n, batch_size=128, frozen=frozen), progress=False
        )
        for n in (1, 5)
    ]
    same, other = ("W_dec", "W_enc") if frozen == "decoder" else ("W_enc", "W_dec")
    torch.testing.assert_close(getattr(saes[0]["a"], same), getattr(saes[1]["a"], same))
    assert (getattr(saes[0]["a"], other) - getattr(saes[1]["a"], other)).abs().max() > 0.01


def test_what_cannot_be_frozen_is_refused():
    with pytest.raises(InputError, match="frozen 'bias'"):
        TrainConfig(frozen="bias")
