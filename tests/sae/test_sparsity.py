"""The L1 weight finds the target L0 from far above and far below, and stays as it is in the last third."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from hsae.activations.store import ActivationStore
from hsae.errors import InputError
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.finish import l0
from hsae.sae.sparsity import SparsityControl
from hsae.sae.train import train_bank
from tests.synthetic import planted, write_store

TRAIN = TrainConfig(epochs=12, batch_size=128, lr=3e-3, log_every=10)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    x, _ = planted(4000, 16, 30, 3)
    return write_store(tmp_path_factory.mktemp("store") / "acts", {"block_01": x.unsqueeze(1)})


def summary(store: ActivationStore, config: SAEConfig, folder: Path) -> dict:
    train_bank(store, config, TRAIN, progress=False, checkpoint=folder)
    return json.loads((folder / "summary.json").read_text())


@pytest.mark.slow
@pytest.mark.parametrize("l1", [1e-4, 1.0])
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_the_target_is_reached_from_any_weight(
    activation: str, l1: float, store: ActivationStore, tmp_path: Path
) -> None:
    config = {"activation": activation, "d_sae": 48, "k": 5, "l1": l1}
    aimed = train_bank(store, SAEConfig(**config, l0_target=5), TRAIN, progress=False)["block_01"]
    free = train_bank(store, SAEConfig(**config), TRAIN, progress=False)["block_01"]
    x, _ = planted(4000, 16, 30, 3, seed=0)
    assert l0(aimed, x) == pytest.approx(5, rel=0.1)
    assert abs(l0(free, x) / 5 - 1) > 0.2, "control: the weight alone gives another L0"


@pytest.mark.parametrize("k", [3, 8])
def test_jumprelu_reaches_its_own_target(k: int, store: ActivationStore, tmp_path: Path) -> None:
    config = SAEConfig("jumprelu", d_sae=48, k=k, l0=0.01)
    aimed = train_bank(store, config, TRAIN, progress=False)["block_01"]
    x = store.layer("block_01").flatten(0, 1)
    assert l0(aimed, x) == pytest.approx(k, rel=0.1)


def test_the_control_itself_comes_near_before_the_biases_are_moved(store: ActivationStore, tmp_path: Path) -> None:
    config = SAEConfig("relu", d_sae=48, l1=1.0, l0_target=5)
    steps = summary(store, config, tmp_path)["history"]
    l0s = [point["layers"]["block_01"]["l0"] for point in steps]
    controlled = l0s[len(l0s) // 3 : 2 * len(l0s) // 3]
    assert sum(controlled) / len(controlled) == pytest.approx(5, rel=0.25)


def test_the_weight_is_frozen_for_the_last_third_and_without_a_target() -> None:
    control, fixed = SparsityControl(0.1, 10.0, steps=90), SparsityControl(0.1, None, steps=90)
    weights = []
    for step in range(90):
        for each in (control, fixed):
            each.update(torch.tensor(40.0), step)
        weights.append(control.weight.item())
    assert weights[:59] == sorted(set(weights[:59]))
    assert len(set(weights[59:])) == 1
    assert weights[-1] > 10 * 0.1
    assert fixed.weight.item() == pytest.approx(0.1)


def test_the_weight_falls_when_too_few_latents_fire() -> None:
    control = SparsityControl(0.1, 10.0, steps=90)
    for step in range(60):
        control.update(torch.tensor(2.0), step)
    assert control.weight < 0.01


def test_a_control_goes_on_from_its_state() -> None:
    first, second = (SparsityControl(0.1, 10.0, steps=90) for _ in range(2))
    for step in range(20):
        first.update(torch.tensor(20.0 - step), step)
    for name, tensor in second.state().items():
        tensor.copy_(first.state()[name])
    for step in range(20, 30):
        for each in (first, second):
            each.update(torch.tensor(12.0), step)
    assert torch.equal(first.weight, second.weight)
    assert first.weight != 0.1


def test_a_layer_that_missed_its_target_says_so(
    store: ActivationStore, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missed = summary(store, SAEConfig("jumprelu", d_sae=48, k=46), tmp_path / "missed")  # half are negative
    assert "below its target 46" in missed["off_target"]["block_01"]
    assert [record.getMessage() for record in caplog.records] == [f"block_01: {missed['off_target']['block_01']}"]
    caplog.clear()
    hit = summary(store, SAEConfig("jumprelu", d_sae=48, k=5), tmp_path / "hit")
    assert hit["off_target"] == {}
    assert not caplog.records


@pytest.mark.parametrize(
    "settings",
    [
        {"activation": "topk", "l0_target": 8},
        {"activation": "relu", "l0_target": 0},
        {"activation": "relu", "l0_target": 49, "d_sae": 48},
    ],
)
def test_targets_that_cannot_be_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(InputError, match="l0_target"):
        SAEConfig(**settings)
