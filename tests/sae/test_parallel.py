"""Two real processes (gloo): sharing layers changes no bit, sharing batches almost nothing, and both resume."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from hsae.activations.store import ActivationStore
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.train import train_bank
from hsae.sae.variants import VARIANTS
from tests.synthetic import planted, write_store

pytestmark = pytest.mark.slow

RUN = """
import json, sys
from pathlib import Path
import torch
from accelerate import Accelerator
from safetensors.torch import save_file
from hsae.activations.store import ActivationStore
from hsae.errors import TrainingError
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.train import train_bank
torch.set_num_threads(1)
store, out, jobs = sys.argv[1:]
accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2
for name, (sae, train) in json.loads(jobs).items():
    bank = train_bank(ActivationStore(store), SAEConfig(**sae), TrainConfig(**train), accelerator=accelerator,
                      progress=False, checkpoint=Path(out) / name)
    save_file({f"{n}.{k}": v for n, m in bank.items() for k, v in m.state_dict().items()},
              Path(out) / f"{name}_{accelerator.process_index}.safetensors")
accelerator.end_training()
"""
TRAIN = {"epochs": 20, "batch_size": 96, "buffer_tokens": 300, "log_every": 10, "resample_every": 9}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    x, _ = planted(600, 16, 24, 3)
    layers = {f"block_0{i}": (i * x.roll(i, 0)).unsqueeze(1) for i in (1, 2, 3)}
    return write_store(tmp_path_factory.mktemp("store") / "acts", layers, shard_rows=128)


Job = tuple[dict[str, object], dict[str, object]]
"""Settings of the SAEs and of their training."""


def launch(store: ActivationStore, out: Path, jobs: dict[str, Job]) -> dict[str, list[dict[str, torch.Tensor]]]:
    """The weights that each of two processes ends with, by name of the job."""
    out.mkdir(exist_ok=True)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    script = out / "run.py"
    script.write_text(RUN)
    arguments = [str(script), str(store.folder), str(out), json.dumps(jobs)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    found = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, timeout=1800)
    assert found.returncode == 0, found.stderr[-3000:]
    return {name: [load_file(out / f"{name}_{rank}.safetensors") for rank in (0, 1)] for name in jobs}


def alone(store: ActivationStore, sae: dict[str, object], train: dict[str, object]) -> dict[str, torch.Tensor]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    bank = train_bank(store, SAEConfig(**sae), TrainConfig(**train), progress=False)
    torch.set_num_threads(threads)
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
    """120 steps of 2 x 48 tokens against 96, for every variant, nested prefixes, AuxK and resampling among them."""
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
