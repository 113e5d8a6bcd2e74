"""What a GPU does with everything that matters here, in about ten minutes: one command, one table for each question.

    python training/benchmarks/gpu.py [--backbones facebook/dinov2-base,facebook/dinov2-giant] [--device cuda]

Steps of SAEs (sparse and dense, float32 and bfloat16) against a plain loop and the GPU's matrix multiplication; the
backbones, with random weights, in images a second; and how fast shuffled batches get there. The
shares of the matrix multiplication are what `EFFICIENCY` in training/planning/rates.py guesses.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections import deque
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

from hsae.activations.pool import CPU, PoolSampler
from hsae.backbones.registry import SUFFIX, load_backbone
from hsae.sae.feed import fed
from training.benchmarks.measuring import matmul_rate, seconds
from training.planning.rates import image_seconds
from training.planning.shape import forward_flops

D_IN, BATCH, BATCHES = 1536, 16_384, 8
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def main() -> None:
    """Print every table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backbones", default="facebook/dinov2-base,facebook/dinov2-giant")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--batch", type=int, default=64, help="images at once")
    options = parser.parse_args()
    device = torch.device(options.device)
    if device.type == "cuda":
        print(torch.cuda.get_device_name(device), flush=True)
        for name in DTYPES:
            command = [sys.executable, str(Path(__file__).with_name("trainer.py")), "--device", "cuda", "--dtype", name]
            subprocess.run([*command, "--seconds", "0", "--steps", "9"], check=True)
    for name in options.backbones.split(","):
        backbone_table(name, options.batch, device)
    feed_table(device)


def backbone_table(name: str, batch: int, device: torch.device) -> None:
    """Images a second, and which share of the matrix multiplication that is."""
    backbone = load_backbone(name + SUFFIX, device=device)
    flops = forward_flops(backbone)
    for precision, dtype in DTYPES.items():
        speed = 1 / image_seconds(backbone, batch, dtype)
        share = speed * flops / matmul_rate(D_IN, 4 * D_IN, 4096, device, dtype)
        print(f"{name} {precision}: {speed:.1f} images/s, {share:.0%} of the matrix multiplication", flush=True)


class Noise(PoolSampler):
    """Tokens of one layer in bfloat16 in memory, where the system keeps what was read from a disk."""

    def __init__(self, device: torch.device, batch: int, batches: int) -> None:
        self.tokens = [torch.randn(batch, D_IN).bfloat16() for _ in range(batches)]
        super().__init__({"x": D_IN}, [batch] * batches, batch_size=batch, seed=0, buffer_tokens=4 * batch)
        self.device = device

    @property
    def batches_per_epoch(self) -> int:
        return len(self.tokens)

    def read(self, run: int) -> dict[str, Tensor]:
        """As many tokens as a batch has."""
        return {"x": self.tokens[run]}


def feed_table(device: torch.device, batch: int = BATCH) -> None:
    """Vectors a second that are ready on the device, mixed by the host and mixed there; steps cannot be faster."""
    for where in (CPU, device):
        sampler = Noise(where, batch, BATCHES)
        taken = min(seconds(lambda: deque(fed(sampler.epoch(0), device), 0), device) for _ in range(3))  # noqa: B023
        print(f"batches mixed on the {where.type}: {BATCHES * batch / taken:.0f} vectors/s")


if __name__ == "__main__":
    main()
