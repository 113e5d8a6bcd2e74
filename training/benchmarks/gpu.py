"""What a GPU does with everything that matters here, in about ten minutes: one command, one table for each question.

    python training/benchmarks/gpu.py [--backbones facebook/dinov2-base,facebook/dinov2-giant] [--device cuda]

Steps of SAEs (sparse and dense, float32 and bfloat16) against a plain loop and the GPU's matrix multiplication; the
backbones, with random weights, in images a second; and batches sent ahead against batches that are waited for. The
shares of the matrix multiplication are what `EFFICIENCY` in training/planning/rates.py guesses.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

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


def feed_table(device: torch.device, batch: int = BATCH) -> None:
    """Multiplying every batch twice: sent ahead, waited for, and there already."""
    weights = torch.randn(D_IN, D_IN, device=device)

    def batches() -> Iterator[dict[str, Tensor]]:
        return ({"x": torch.randn(1, D_IN).expand(batch, -1).clone()} for _ in range(BATCHES))

    def work(x: Tensor) -> Tensor:
        return x @ weights @ weights

    there = torch.randn(batch, D_IN, device=device)
    times = {
        "sent ahead": seconds(lambda: [work(part["x"]) for part in fed(batches(), device)], device),
        "waited for": seconds(lambda: [work(part["x"].to(device)) for part in batches()], device),
        "there already": seconds(lambda: [work(there) for _ in range(BATCHES)], device),
    }
    print("batches " + ", ".join(f"{name} {1e3 * taken / BATCHES:.1f} ms" for name, taken in times.items()))


if __name__ == "__main__":
    main()
