"""Layers that train in groups end with the bits of layers that train together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator

from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.train import train_bank
from tests.synthetic import planted, write_store
from training import saes
from training.saes import Training, train_saes

SETTINGS = SAEConfig(d_sae=32, k=4), TrainConfig(epochs=2, batch_size=64, log_every=3)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> Training:
    x, _ = planted(300, 16, 24, 3)
    layers = {f"block_{number:02d}": number * x.roll(number, 0).unsqueeze(1) for number in (1, 2, 3)}
    store = write_store(tmp_path_factory.mktemp("store") / "acts", layers, shard_rows=128)
    return Training(store, *SETTINGS)


def test_groups_of_layers_give_the_bits_of_all_at_once(training: Training, tmp_path: Path) -> None:
    together = train_bank(training.source, *SETTINGS, progress=False)
    bank = train_saes(tmp_path, training, Accelerator(), layers_at_once=2)
    assert list(bank) == list(together)
    for name, sae in bank.items():
        assert sae is not bank[name], "read again, not kept"
        assert all(torch.equal(a, b) for a, b in zip(sae.parameters(), together[name].parameters(), strict=True))
    summary = json.loads((tmp_path / "training" / "summary.json").read_text())
    assert list(summary["settings"]["layers"]) == list(together)
    assert set(summary["final"]) == set(together)
    assert {path.name for path in (tmp_path / "training").iterdir()} == {"summary.json", "summary.png"}


def test_a_run_that_was_killed_between_groups_keeps_those_that_were_done(
    training: Training, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[list[str]] = []
    real = saes._train_group

    def counted(folder: Path, group: list[str], *rest: object) -> None:
        if len(groups) == 1:
            raise KeyboardInterrupt
        groups.append(group)
        real(folder, group, *rest)

    monkeypatch.setattr(saes, "_train_group", counted)
    with pytest.raises(KeyboardInterrupt):
        train_saes(tmp_path, training, Accelerator(), layers_at_once=1)
    monkeypatch.setattr(saes, "_train_group", lambda *arguments: (groups.append(arguments[1]), real(*arguments)))
    train_saes(tmp_path, training, Accelerator(), layers_at_once=1)
    assert groups == [["block_01"], ["block_02"], ["block_03"]]
    assert set(json.loads((tmp_path / "training" / "summary.json").read_text())["final"]) == set(bank_layers(training))


def bank_layers(training: Training) -> list[str]:
    return list(training.source.layers)
