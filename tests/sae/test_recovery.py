"""Every variant finds the atoms that the data were made of, and Matryoshka prefixes hold the frequent ones first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.train import train_bank
from tests.synthetic import planted, recovery, write_store

SMALL = {
    "topk": SAEConfig("topk", d_sae=240, k=4, dead_after=10_000),
    "topk, resampled": SAEConfig("topk", d_sae=240, k=4, auxk=0.0, dead_after=10_000),
    "batchtopk": SAEConfig("batchtopk", d_sae=240, k=4, dead_after=10_000),
    "jumprelu": SAEConfig("jumprelu", d_sae=240, k=4, l0=0.3),
    "gated": SAEConfig("gated", d_sae=240, l1=0.08),
    "relu": SAEConfig("relu", d_sae=240, l1=0.04),
    "matryoshka": SAEConfig("topk", d_sae=240, k=4, dead_after=10_000, prefixes=2),
}


LARGE = {
    "topk": SAEConfig("topk", d_sae=2560, k=5, dead_after=20_000),
    "batchtopk": SAEConfig("batchtopk", d_sae=2560, k=5, dead_after=20_000),
    "jumprelu": SAEConfig("jumprelu", d_sae=2560, k=5, l0=0.3),
    "gated": SAEConfig("gated", d_sae=2560, k=5, l1=0.08),
    "relu": SAEConfig("relu", d_sae=2560, k=5, l1=0.02),
}


def trained(x: torch.Tensor, folder: Path, config: SAEConfig, train: TrainConfig) -> SparseAutoencoder:
    store = write_store(folder / "acts", {"block_01": x.unsqueeze(1)}, shard_rows=8192)
    return train_bank(store, config, train, progress=False)["block_01"]


@pytest.mark.parametrize("name", SMALL)
def test_a_small_planted_dictionary_is_recovered(tmp_path: Path, name: str) -> None:
    x, atoms = planted(10_000, 48, 120, 4, zipf=0.5)
    train = TrainConfig(epochs=10, batch_size=256, lr=3e-3, resample_every=50 if "resampled" in name else 0)
    sae = trained(x, tmp_path, SMALL[name], train)
    assert recovery(atoms, sae.W_dec)[:60].mean() >= 0.9
    untrained = torch.randn(240, 48, generator=torch.Generator().manual_seed(1))
    assert recovery(atoms, untrained)[:60].mean() < 0.6, "the measure can tell"


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_the_frequent_half_of_2000_atoms_is_recovered(tmp_path: Path, name: str) -> None:
    """Zipf frequencies, noise, and 16 atoms to each dimension."""
    x, atoms = planted(30_000, 128, 2000, 5, zipf=0.5, noise=0.02)
    sae = trained(x, tmp_path, LARGE[name], TrainConfig(epochs=6, batch_size=512, lr=4e-3))
    assert recovery(atoms, sae.W_dec)[:1000].mean() >= 0.9


def test_matryoshka_puts_more_of_the_data_into_the_first_prefix(tmp_path: Path) -> None:
    x, _ = planted(10_000, 48, 120, 4, zipf=0.5)
    config, train = SMALL["matryoshka"], TrainConfig(epochs=6, batch_size=256, lr=3e-3)

    def first_half_fvu(config: SAEConfig) -> float:
        sae = trained(x, tmp_path / str(config.prefixes), config, train)
        z = sae.encode(x)
        z[:, 120:] = 0
        return ((x - sae.decode(z)).pow(2).sum() / (x - x.mean(0)).pow(2).sum()).item()

    assert first_half_fvu(config) < first_half_fvu(replace(config, prefixes=1)) - 0.05
