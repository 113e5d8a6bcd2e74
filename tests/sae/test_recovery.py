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
    "topk": SAEConfig("topk", d_sae=1280, k=5, dead_after=20_000),
    "batchtopk": SAEConfig("batchtopk", d_sae=1280, k=5, dead_after=20_000),
    "jumprelu": SAEConfig("jumprelu", d_sae=1280, k=5, l0=0.3),
    "gated": SAEConfig("gated", d_sae=1280, k=5, l1=0.08),
    "relu": SAEConfig("relu", d_sae=1280, k=5, l1=0.02),
}


def trained(x: torch.Tensor, folder: Path, config: SAEConfig, train: TrainConfig) -> SparseAutoencoder:
    store = write_store(folder / "acts", {"block_01": x.unsqueeze(1)}, shard_rows=8192)
    return train_bank(store, config, train, progress=False)["block_01"]


@pytest.mark.slow
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
def test_the_frequent_half_of_1000_atoms_is_recovered(tmp_path: Path, name: str) -> None:
    """Zipf frequencies, noise, and 8 atoms to each dimension."""
    x, atoms = planted(20_000, 128, 1000, 5, zipf=0.5, noise=0.02)
    sae = trained(x, tmp_path, LARGE[name], TrainConfig(epochs=6, batch_size=512, lr=4e-3))
    assert recovery(atoms, sae.W_dec)[:500].mean() >= 0.9


@pytest.mark.slow
def test_matryoshka_puts_more_of_the_data_into_the_first_prefix(tmp_path: Path) -> None:
    x, _ = planted(10_000, 48, 120, 4, zipf=0.5)
    config, train = SMALL["matryoshka"], TrainConfig(epochs=6, batch_size=256, lr=3e-3)

    def first_half_fvu(config: SAEConfig) -> float:
        sae = trained(x, tmp_path / str(config.prefixes), config, train)
        z = sae.encode(x)
        z[:, 120:] = 0
        return ((x - sae.decode(z)).pow(2).sum() / (x - x.mean(0)).pow(2).sum()).item()

    assert first_half_fvu(config) < first_half_fvu(replace(config, prefixes=1)) - 0.05


@pytest.mark.slow
def test_nested_k_says_more_with_its_strongest_latent(tmp_path: Path) -> None:
    """One dictionary that serves several k: better at k 1 than TopK at the largest, nearly as good at the largest."""
    x, _ = planted(8000, 24, 60, 4, zipf=0.5)
    train = TrainConfig(epochs=8, batch_size=256, lr=3e-3)
    nested = trained(x, tmp_path / "nested", SAEConfig("topk", d_sae=96, ks=(1, 2, 4), k_weights=(3, 1, 1)), train)
    plain = trained(x, tmp_path / "plain", SAEConfig("topk", d_sae=96, k=4), train)

    def unexplained(sae: SparseAutoencoder, k: int) -> float:
        values, indices = sae.encode_topk(x, k)
        x_hat = sae.decode(torch.zeros(len(x), 96).scatter(1, indices, values))
        return ((x - x_hat).pow(2).sum() / (x - x.mean(0)).pow(2).sum()).item()

    assert nested.ks == (1, 2, 4)
    assert torch.equal(nested.with_k(1)(x)[1], nested.with_k(1).encode(x))
    assert unexplained(nested, 1) < unexplained(plain, 1) - 0.02
    assert unexplained(nested, 4) < unexplained(plain, 1) - 0.2


def test_the_coarse_group_finds_the_classes_that_the_data_were_made_of(tmp_path: Path) -> None:
    """Each token is of one of twelve classes and has details that all share; a class is a latent, by its threshold."""
    generator = torch.Generator().manual_seed(3)
    details, _ = planted(6000, 24, 60, 3, zipf=0.5)
    labels = torch.randint(12, (6000,), generator=generator)
    x = details + 1.5 * torch.nn.functional.normalize(torch.randn(12, 24, generator=generator), dim=-1)[labels]
    train = TrainConfig(epochs=10, batch_size=256, lr=3e-3)
    sae = trained(x, tmp_path, SAEConfig("coarse_fine", groups=((12, 1), (84, 4)), dead_after=10_000), train)

    def best_f1(latents: slice) -> torch.Tensor:
        fires = (sae.encode(x)[:, latents] > 0).float()
        truth = torch.nn.functional.one_hot(labels, 12).float()
        return (2 * truth.T @ fires / (truth.sum(0).unsqueeze(1) + fires.sum(0))).amax(1)

    assert best_f1(slice(0, 12)).median() > 0.7
    assert best_f1(slice(0, 12)).median() > best_f1(slice(12, 96)).median() + 0.2, "fine latents are details"
