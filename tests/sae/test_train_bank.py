"""train_bank on planted data: it learns, is repeatable, keeps unit rows, and refuses what it cannot train on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hsae.activations.store import ActivationStore
from hsae.errors import InputError, TrainingError
from hsae.sae.config import SAEConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.train import TrainConfig, learning_rate, train_bank
from tests.synthetic import planted, write_store

TRAIN = TrainConfig(epochs=4, batch_size=128, lr=3e-3, buffer_tokens=512)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    """Two layers with different offsets and scales, one loud coordinate; 2048 tokens."""
    x, _ = planted(2048, 16, 24, 3)
    loud = torch.ones(16)
    loud[0] = 30.0
    layers = {"block_01": x.mul(loud).add(5.0).unsqueeze(1), "block_02": x.mul(0.01).unsqueeze(1)}
    return write_store(tmp_path_factory.mktemp("store") / "acts", layers, shard_rows=500)


def bank(
    store: ActivationStore, config: SAEConfig, train: TrainConfig = TRAIN, **options: object
) -> dict[str, SparseAutoencoder]:
    return train_bank(store, config, train, progress=False, **options)


def fvu(sae: SparseAutoencoder, x: torch.Tensor) -> float:
    return ((x - sae(x)[0]).pow(2).sum() / (x - x.mean(0)).pow(2).sum()).item()


@pytest.mark.parametrize("config", [SAEConfig(d_sae=48, k=4), SAEConfig("relu", d_sae=48, l1=1e-2)], ids=str)
def test_training_explains_raw_activations_with_unit_rows(store: ActivationStore, config: SAEConfig) -> None:
    for name, sae in bank(store, config).items():
        x = store.layer(name).flatten(0, 1)
        assert fvu(sae, x) < 0.25
        assert torch.allclose(sae.W_dec.norm(dim=-1), torch.ones(48), atol=1e-5)
        assert not any(parameter.requires_grad for parameter in sae.parameters())


def test_the_same_seed_gives_the_same_weights(store: ActivationStore) -> None:
    config = SAEConfig(d_sae=48, k=4)
    first, second, other = (
        bank(store, config, TrainConfig(epochs=1, batch_size=128, seed=seed))["block_01"].W_dec for seed in (3, 3, 4)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_layer_is_trained_alike_alone_and_beside_others(store: ActivationStore) -> None:
    config = SAEConfig(d_sae=48, k=4)
    together, alone = bank(store, config)["block_02"], bank(store, config, layers=["block_02"])["block_02"]
    assert torch.equal(together.W_enc, alone.W_enc)


def test_not_a_number_stops_training_with_the_layers_name(store: ActivationStore, tmp_path: Path) -> None:
    x = torch.randn(256, 1, 8)
    x[77] = torch.nan
    broken = write_store(tmp_path / "acts", {"block_01": x})
    with pytest.raises(TrainingError, match="block_01"):
        bank(broken, SAEConfig(d_sae=16, k=2))


def test_constant_activations_are_refused(tmp_path: Path) -> None:
    constant = write_store(tmp_path / "acts", {"block_01": torch.ones(256, 1, 8)})
    with pytest.raises(TrainingError, match="variance 0"):
        bank(constant, SAEConfig(d_sae=16, k=2))


def test_unknown_layers_are_refused(store: ActivationStore) -> None:
    with pytest.raises(InputError, match="block_99"):
        bank(store, SAEConfig(d_sae=16, k=2), layers=["block_99"])


@pytest.mark.parametrize(
    "settings", [{"epochs": 0}, {"batch_size": 0}, {"lr": 0.0}, {"clip": -1.0}, {"warmup": 0.8, "decay": 0.3}], ids=str
)
def test_impossible_settings_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(InputError):
        TrainConfig(**settings)


def test_the_learning_rate_rises_stays_and_falls() -> None:
    train = TrainConfig(warmup=0.1, decay=0.2)
    rates = [learning_rate(step, 100, train) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9:80] == pytest.approx([1.0] * 71)
    assert rates[80:] == pytest.approx([(100 - step) / 20 for step in range(80, 100)])
