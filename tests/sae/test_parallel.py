"""Two real processes (gloo): sharing layers changes no bit, sharing batches almost nothing, and both resume."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file, save_file

from hsae.activations.store import ActivationStore
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.train import train_bank
from hsae.sae.variants import VARIANTS
from tests.forked import two_at_once
from tests.synthetic import planted, write_store

pytestmark = pytest.mark.slow

TRAIN = {"epochs": 10, "batch_size": 96, "buffer_tokens": 300, "log_every": 10, "resample_every": 9}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    x, _ = planted(600, 16, 24, 3)
    layers = {f"block_0{i}": (i * x.roll(i, 0)).unsqueeze(1) for i in (1, 2, 3)}
    return write_store(tmp_path_factory.mktemp("store") / "acts", layers, shard_rows=128)


Job = tuple[dict[str, object], dict[str, object]]
"""Settings of the SAEs and of their training."""


def launch(store: ActivationStore, out: Path, jobs: dict[str, Job]) -> dict[str, list[dict[str, torch.Tensor]]]:
    """The weights that each of two processes ends with, by name of the job."""
    two_at_once(out, train_jobs, str(store.folder), str(out), json.dumps(jobs))
    return {name: [load_file(out / f"{name}_{rank}.safetensors") for rank in (0, 1)] for name in jobs}


def train_jobs(arguments: list[str]) -> int:
    """What each of the processes does."""
    torch.set_num_threads(1)
    store, out, jobs = arguments
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    for name, (sae, train) in json.loads(jobs).items():
        configs = SAEConfig(**sae), TrainConfig(**train)
        shared = {"accelerator": accelerator, "checkpoint": Path(out) / name}
        bank = train_bank(ActivationStore(store), *configs, progress=False, **shared)
        save_file(state_of(bank), Path(out) / f"{name}_{accelerator.process_index}.safetensors")
    accelerator.end_training()
    return 0


def alone(store: ActivationStore, sae: dict[str, object], train: dict[str, object]) -> dict[str, torch.Tensor]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    bank = train_bank(store, SAEConfig(**sae), TrainConfig(**train), progress=False)
    torch.set_num_threads(threads)
    return state_of(bank)


def state_of(bank: dict[str, SparseAutoencoder]) -> dict[str, torch.Tensor]:
    return {f"{n}.{k}": v for n, m in bank.items() for k, v in m.state_dict().items()}


def test_layer_parallel_gives_the_same_bits_as_one_process(store: ActivationStore, tmp_path: Path) -> None:
    sae = {"d_sae": 48, "k": 4, "dead_after": 200}
    expected = alone(store, sae, TRAIN)
    for _ in range(2):  # the second launch finds everything done
        for found in launch(store, tmp_path, {"layer": (sae, {**TRAIN, "parallel": "layer"})})["layer"]:
            assert found.keys() == expected.keys()
            assert all(torch.equal(found[key], expected[key]) for key in expected)
    assert set(json.loads((tmp_path / "layer" / "summary.json").read_text())["final"]) == set(store.layers)


def test_data_parallel_matches_one_process(store: ActivationStore, tmp_path: Path) -> None:
    """60 steps of 2 x 48 tokens against 96, for every variant, nested prefixes, AuxK and resampling among them."""
    common = {"d_sae": 48, "k": 4, "dead_after": 300}
    saes = {name: {**common, "activation": name} for name in VARIANTS}
    saes["nested"] = {**common, "prefixes": 3}
    found = launch(store, tmp_path, {name: (sae, {**TRAIN, "batch_size": 48}) for name, sae in saes.items()})
    for name, sae in saes.items():
        expected = alone(store, sae, TRAIN)
        first, second = found[name]
        for key in expected:
            assert torch.equal(first[key], second[key]), (name, key)
            assert (first[key] - expected[key]).abs().max() <= 1e-5 * max(1.0, expected[key].abs().max()), (name, key)
