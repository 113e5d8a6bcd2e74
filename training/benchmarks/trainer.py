"""How fast the trainer is: hsae against a plain PyTorch loop and the installed peers, in one interleaved run.

    python training/benchmarks/trainer.py [--shapes 3072x1024,12288x4096] [--steps 5] [--seconds 20] [--no_memory]
    python training/benchmarks/trainer.py --device cuda --dtype bfloat16        # d 1536, m 12288, batch 16384

Peers (sae-lens, eai-sparsify, dictionary-learning) are compared when they are installed; hsae needs none of them.
Data: sums of 32 (as many as an SAE's k; `--active`) of 2000 unit atoms with Zipf frequencies, noise, a common offset
and a few loud coordinates: `synthetic` in measuring.py.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import torch
from torch import Tensor

from hsae.sae.config import SAEConfig
from hsae.sae.steps import choose_step
from training.benchmarks.contestants import K, Place, contestants, hsae
from training.benchmarks.measuring import ACTIVE, matmul_rate, seconds, synthetic
from training.benchmarks.peers import Contestant
from training.memory import forget_peak, resident


def main() -> None:
    """Print every table."""
    options = _options()
    place = Place(options.d_in, torch.device(options.device), getattr(torch, options.dtype))
    if options.step_memory:
        name, m, batch = options.step_memory.split(",")
        print(step_memory(place, name, int(m), int(batch)))
        return
    data = synthetic(65_536, place.d_in, active=options.active)
    where = f"{torch.get_num_threads()} threads" if place.device.type == "cpu" else torch.cuda.get_device_name()
    print(f"{where}, torch {torch.__version__}, d {place.d_in}, k {K}, {options.dtype}")
    for shape in options.shapes.split(","):
        m, batch = map(int, shape.split("x"))
        speed_table(place, data, m, batch, options.steps, not options.no_memory and place.device.type == "cpu")
    m, batch = map(int, options.shapes.split(",")[0].split("x"))
    if options.seconds:
        quality_table(place, data, m, batch, options.seconds)
    layers_table(place, data, m, batch, options.steps)


def speed_table(place: Place, data: Tensor, m: int, batch: int, steps: int, memory: bool) -> None:
    """Median time of a step, in turns; share of what the machine's matrix multiplication allows; step memory.

    The limit of a vector is 2 d m + 10 k d FLOPs for TopK on a CPU, and for hsae's ReLU and JumpReLU, which start at an
    L0 of k; 12 d m for everything dense.
    """
    runners = {name: make() for name, make in contestants(place, m, data).items()}
    times: dict[str, list[float]] = {name: [] for name in runners}
    rates = []
    for number in range(steps + 1):
        x = data[torch.arange(number * batch, (number + 1) * batch) % len(data)].to(place.device)
        for name, runner in runners.items():
            times[name].append(seconds(partial(runner.step, x), place.device))
        rates.append(matmul_rate(place.d_in, m, batch, place.device, place.dtype))
    rate = max(rates)
    print(f"\nm {m}, batch {batch}; matrix multiplication {rate / 1e9:.0f} GFLOP/s")
    print(f"{'':22}{'ms/step':>9}{'vectors/s':>11}{'x plain':>9}{'% of limit':>12}{'step MiB':>10}")
    for name, taken in times.items():
        median = sorted(taken[1:])[steps // 2]  # the first step warms up
        plain = "plain relu" if "relu" in name else "plain topk"
        ratio = sorted(a / b for a, b in zip(times[plain][1:], taken[1:], strict=True))[steps // 2]
        few = "relu" not in name or name.startswith("hsae")
        sparse = few and place.device.type == "cpu" and not place.bf16
        flops = 2 * place.d_in * m + 10 * K * place.d_in if sparse else 12 * place.d_in * m
        used = _in_fresh_process(place, name, m, batch) if memory else "-"
        speed = batch / median
        print(f"{name:22}{1e3 * median:9.1f}{speed:11.0f}{ratio:9.2f}{100 * speed * flops / rate:12.0f}{used:>10}")


def quality_table(place: Place, data: Tensor, m: int, batch: int, limit: float) -> None:
    """FVU on held-out data after 200 equal steps, and after equal seconds of training."""
    train, held = data[:-8192], data[-8192:].to(place.device)
    print(f"\nm {m}, batch {batch}: FVU\n{'':22}{'200 steps':>11}{f'{limit:.0f} seconds':>12}{'steps':>8}{'silent':>8}")
    for name, make in contestants(place, m, train).items():
        runner, spent, steps, at_200 = make(), 0.0, 0, float("nan")
        after = float("nan")
        while steps < 200 or spent < limit:
            x = train[torch.randint(len(train), (batch,), generator=torch.Generator().manual_seed(steps))].to(
                place.device
            )
            spent += seconds(partial(runner.step, x), place.device)
            steps += 1
            at_200 = fvu(runner, held) if steps == 200 else at_200
            if spent >= limit and after != after:
                after, within = fvu(runner, held), steps
        silent = 1 - torch.stack([runner.active(part).any(0) for part in held.split(1024)]).any(0).float().mean().item()
        print(f"{name:22}{at_200:11.3f}{after:12.3f}{within:8}{silent:8.1%}")


def layers_table(place: Place, data: Tensor, m: int, batch: int, steps: int, layers: int = 12) -> None:
    """Several layers in one pass against one layer."""
    config = SAEConfig("topk", d_sae=m, k=K)
    step = choose_step(config, place.d_in, place.device, place.bf16)
    bank = [hsae(place, config, data, step) for _ in range(layers)]
    one, all_ = [], []
    for number in range(steps + 1):
        x = data[torch.arange(number * batch, (number + 1) * batch) % len(data)].to(place.device)
        one.append(seconds(partial(_step, bank[:1], x), place.device))
        all_.append(seconds(partial(_step, bank, x), place.device))
    single, total = (sorted(taken[1:])[steps // 2] for taken in (one, all_))
    print(f"\n{layers} layers: {1e3 * total:.1f} ms a step, {total / (layers * single):.2f} x {layers} x one layer")


def _step(bank: Sequence[Contestant], x: Tensor) -> None:
    for layer in bank:
        layer.step(x)


@torch.no_grad()
def fvu(runner: Contestant, x: Tensor) -> float:
    """Fraction of variance unexplained on `x [n, d_in]`."""
    error = sum((part - runner.reconstruct(part)).pow(2).sum() for part in x.split(1024))
    return (error / (x - x.mean(0)).pow(2).sum()).item()


def step_memory(place: Place, name: str, m: int, batch: int) -> int:
    """MiB that a step needs beyond weights and Adam's moments: peak resident memory in a process of its own."""
    data = synthetic(max(2 * m, 2 * batch), place.d_in)
    contestants(place, 64, data)[name]().step(data[:64])  # loads what is imported late
    before = resident(peak=False)
    runner = contestants(place, m, data)[name]()
    forget_peak()
    for _ in range(3):
        runner.step(data[:batch])
    state = 3 * (2 * place.d_in * m + m + place.d_in) * 4
    return round((resident(peak=True) - before - state) / 2**20)


def _in_fresh_process(place: Place, name: str, m: int, batch: int) -> str:
    dtype = str(place.dtype).removeprefix("torch.")
    command = [sys.executable, __file__, "--step_memory", f"{name},{m},{batch}"]
    command += ["--d_in", str(place.d_in), "--dtype", dtype]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--dtype", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--d_in", type=int, help="width of the activations: 384, on cuda 1536")
    parser.add_argument("--shapes", help="d_sae x batch; the first one for the tables after the first")
    parser.add_argument("--steps", type=int, default=5, help="measured steps of each contestant and shape")
    parser.add_argument(
        "--seconds", type=float, default=20, help="training time for the quality table; 0: leave it out"
    )
    parser.add_argument("--active", type=int, default=ACTIVE, help="atoms in each vector of the data")
    parser.add_argument("--no_memory", action="store_true", help="do not start a process per row to measure memory")
    parser.add_argument("--step_memory", help=argparse.SUPPRESS)
    options = parser.parse_args()
    gpu = options.device == "cuda"
    options.d_in = options.d_in or (1536 if gpu else 384)
    options.shapes = options.shapes or ("12288x16384" if gpu else "3072x1024,3072x4096,12288x1024,12288x4096")
    return options


if __name__ == "__main__":
    main()
