"""Resident memory of training, measured in processes of their own: it does not grow with the store or the images."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from hsae.activations.store import shard_path
from tests.synthetic import write_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's account of peak memory"),
]

PEAK = """
from pathlib import Path
lines = Path("/proc/self/status").read_text().splitlines()
print(next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024)
"""

STORE = """
import sys
from pathlib import Path
import torch
from hsae.activations.store import ActivationStore
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.layer import LayerTraining
from hsae.sae.train import train_bank

class Enough(Exception): ...

def advance(self, raw, rate, step, original=LayerTraining.advance):
    if step == 3:  # by then the pool, every buffer and a checkpoint have been there
        raise Enough
    return original(self, raw, rate, step)

LayerTraining.advance = advance
store, checkpoint = ActivationStore(sys.argv[1]), Path(sys.argv[2])
config = SAEConfig(d_sae=3072, k=32, dead_after=1)
try:
    train_bank(store, config, TrainConfig(checkpoint_every=2), progress=False, checkpoint=checkpoint)
except Enough:
    assert len(list(checkpoint.rglob("state.safetensors"))) == 1
"""

ONLINE = """
import sys
import torch
from hsae.activations.online import OnlineActivations
from hsae.data.samples import load_samples
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.train import train_bank
from tests.tiny_models import PlainBackbone
from hsae.backbones.base import LayerSpec

class Wide(PlainBackbone):
    \"\"\"256 tokens of width 4096, 4 MiB an image.\"\"\"

    layers = {"stage_1": LayerSpec("stage_1", 4096, 0)}

    def tokens(self, state):
        return super().tokens(state).repeat(1, 16, 1366)[..., :4096] * torch.linspace(0.5, 1.5, 4096)

    def grid(self, layer, height, width):
        return 16, 16

source = OnlineActivations(Wide(), load_samples("starter"), images_per_run=4)
train_bank(source, SAEConfig(d_sae=16, k=1, auxk=0.0), TrainConfig(epochs=1, buffer_tokens=2048), progress=False)
print("tokens", len(source) * 256 * 4096 * 4 / 2**20)
"""


def peak(program: str, *arguments: object) -> list[float]:
    """MiB at the most, behind what the program itself prints."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    command = [sys.executable, "-c", program + PEAK, *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr[-2000:]
    return [float(line.split()[-1]) for line in done.stdout.splitlines()]


def test_twelve_layers_from_a_store_of_any_size_stay_under_two_and_a_half_gigabytes(tmp_path: Path) -> None:
    """5.4 GB of shards, which are one file under many names: for a process they are as large as they look."""
    layers = {f"block_{i:02d}": torch.randn(1024, 4, 384) for i in range(1, 13)}
    store = write_store(tmp_path / "acts", layers, shard_rows=1024)
    text = (store.folder / "manifest.json").read_text()
    (store.folder / "manifest.json").write_text(text.replace('"n_rows": 1024', f'"n_rows": {72 * 1024}'))
    for number in range(1, 72):
        os.link(shard_path(store.folder, 0), shard_path(store.folder, number))
    assert sum(file.stat().st_size for file in store.folder.iterdir()) > 2 * 2.5e9
    (most,) = peak(STORE, store.folder, tmp_path / "checkpoint")
    assert most < 2.5e9 / 2**20


def test_online_memory_does_not_hold_all_tokens() -> None:
    tokens, most = peak(ONLINE)
    assert tokens > 2000
    assert most < tokens / 2  # what torch and the photographs being decoded take differs by machine
