"""How fast the trainer is: hsae against a plain PyTorch loop and the installed peers, in one interleaved run.

    python training/benchmark.py [--shapes 3072x1024,12288x4096] [--steps 5] [--seconds 20] [--no_memory]

Peers (sae-lens, eai-sparsify, dictionary-learning) are compared when they are installed; hsae needs none of them.
Data: sums of 16 of 2000 unit atoms with Zipf frequencies, noise, a common offset and a few loud coordinates.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from torch import Tensor

from hsae.sae.bank import initialise, scale_of
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.layer import LayerTraining
from hsae.sae.model import SparseAutoencoder
from hsae.sae.steps import GradientStep, choose_step
from training.peers import Contestant, installed

D_IN, K, LR = 384, 32, 1e-3


def main() -> None:
    """Print every table."""
    options = _options()
    if options.step_memory:
        name, m, batch = options.step_memory.split(",")
        print(step_memory(name, int(m), int(batch)))
        return
    data = synthetic(65_536)
    print(f"{torch.get_num_threads()} threads, torch {torch.__version__}, d {D_IN}, k {K}")
    for shape in options.shapes.split(","):
        m, batch = map(int, shape.split("x"))
        speed_table(data, m, batch, options.steps, not options.no_memory)
    if options.seconds:
        quality_table(data, 3072, 1024, options.seconds)
    layers_table(data, 3072, 1024, options.steps)


def contestants(m: int, batch: int, data: Tensor) -> dict[str, Callable[[], Contestant]]:
    """A maker for each that can run here."""
    makers: dict[str, Callable[[], Contestant]] = {
        "hsae topk": lambda: _hsae(SAEConfig("topk", d_sae=m, k=K), data),
        "plain topk": lambda: _plain(SAEConfig("topk", d_sae=m, k=K)),
        "hsae relu": lambda: _hsae(SAEConfig("relu", d_sae=m), data),
        "plain relu": lambda: _plain(SAEConfig("relu", d_sae=m)),
    }
    return makers | {name: lambda make=make: make(D_IN, m, K, LR) for name, make in installed().items()}


def _hsae(config: SAEConfig, data: Tensor, step: GradientStep | None = None) -> Contestant:
    sae = SparseAutoencoder(D_IN, config.width(D_IN), config.activation, K)
    scale = scale_of([data], "synthetic")
    initialise(sae, scale.normalise(data[: 2 * sae.d_sae]), torch.Generator().manual_seed(0))
    step = step or choose_step(config, D_IN, sae.d_sae, torch.device("cpu"))
    layer = LayerTraining("synthetic", sae, scale, config, TrainConfig(lr=LR), step)
    done = iter(range(10**9))
    return Contestant(
        lambda x: layer.advance(x, LR, next(done)),
        lambda x: sae(scale.normalise(x))[0] * scale.scale + scale.mean,
        lambda x: sae.encode(scale.normalise(x)) > 0,
    )


def _plain(config: SAEConfig) -> Contestant:
    """What one writes first: a dense forward pass, autograd, clipping, Adam, unit rows."""
    sae = SparseAutoencoder(D_IN, config.width(D_IN), config.activation, K)
    with torch.no_grad():
        sae.W_dec.normal_()
        sae.normalise_decoder()
        sae.W_enc.copy_(sae.W_dec.T)
    optimiser = torch.optim.Adam(sae.parameters(), lr=LR)

    def step(x: Tensor) -> None:
        x_hat, z = sae(x)
        loss = (x - x_hat).pow(2).mean() + (config.l1 * z.sum(-1).mean() if config.activation == "relu" else 0)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(sae.parameters(), 1.0)
        optimiser.step()
        sae.normalise_decoder()

    return Contestant(step, lambda x: sae(x)[0], lambda x: sae.encode(x) > 0)


def speed_table(data: Tensor, m: int, batch: int, steps: int, memory: bool) -> None:
    """Median time of a step, in turns; share of what the machine's matrix multiplication allows; step memory."""
    runners = {name: make() for name, make in contestants(m, batch, data).items()}
    times: dict[str, list[float]] = {name: [] for name in runners}
    rates = []
    for number in range(steps + 1):
        x = data[torch.arange(number * batch, (number + 1) * batch) % len(data)]
        for name, runner in runners.items():
            times[name].append(seconds(lambda x=x, runner=runner: runner.step(x)))
        rates.append(matmul_rate(m, batch))
    rate = max(rates)
    print(f"\nm {m}, batch {batch}; matrix multiplication {rate / 1e9:.0f} GFLOP/s")
    print(f"{'':22}{'ms/step':>9}{'vectors/s':>11}{'x plain':>9}{'% of limit':>12}{'step MiB':>10}")
    for name, taken in times.items():
        median = sorted(taken[1:])[steps // 2]  # the first step warms up
        plain = "plain relu" if "relu" in name else "plain topk"
        ratio = sorted(a / b for a, b in zip(times[plain][1:], taken[1:], strict=True))[steps // 2]
        flops = 12 * D_IN * m if "relu" in name else 2 * D_IN * m + 10 * K * D_IN
        used = _in_fresh_process(name, m, batch) if memory else "-"
        speed = batch / median
        print(f"{name:22}{1e3 * median:9.1f}{speed:11.0f}{ratio:9.2f}{100 * speed * flops / rate:12.0f}{used:>10}")


def quality_table(data: Tensor, m: int, batch: int, limit: float) -> None:
    """FVU on held-out data after 200 equal steps, and after equal seconds of training."""
    train, held = data[:-8192], data[-8192:]
    print(f"\nm {m}, batch {batch}: FVU\n{'':22}{'200 steps':>11}{f'{limit:.0f} seconds':>12}{'steps':>8}{'silent':>8}")
    for name, make in contestants(m, batch, train).items():
        runner, spent, steps, at_200 = make(), 0.0, 0, float("nan")
        after = float("nan")
        while steps < 200 or spent < limit:
            x = train[torch.randint(len(train), (batch,), generator=torch.Generator().manual_seed(steps))]
            spent += seconds(lambda x=x, runner=runner: runner.step(x))
            steps += 1
            at_200 = fvu(runner, held) if steps == 200 else at_200
            if spent >= limit and after != after:
                after, within = fvu(runner, held), steps
        silent = 1 - torch.stack([runner.active(part).any(0) for part in held.split(1024)]).any(0).float().mean().item()
        print(f"{name:22}{at_200:11.3f}{after:12.3f}{within:8}{silent:8.1%}")


def layers_table(data: Tensor, m: int, batch: int, steps: int, layers: int = 12) -> None:
    """Several layers in one pass against one layer."""
    config = SAEConfig("topk", d_sae=m, k=K)
    step = choose_step(config, D_IN, m, torch.device("cpu"))
    bank = [_hsae(config, data, step) for _ in range(layers)]
    one, all_ = [], []
    for number in range(steps + 1):
        x = data[number * batch : (number + 1) * batch]
        one.append(seconds(lambda x=x: bank[0].step(x)))
        all_.append(seconds(lambda x=x: [layer.step(x) for layer in bank]))
    single, total = (sorted(taken[1:])[steps // 2] for taken in (one, all_))
    print(f"\n{layers} layers: {1e3 * total:.1f} ms a step, {total / (layers * single):.2f} x {layers} x one layer")


def synthetic(n: int, seed: int = 0) -> Tensor:
    """Activations `[n, d_in]` with a planted dictionary."""
    g = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(2000, D_IN, generator=g), dim=-1)
    weights = torch.arange(1, 2001).float().pow(-0.7)
    x = 0.02 * torch.randn(n, D_IN, generator=g)
    for rows in torch.arange(n).split(4096):
        chosen = torch.multinomial(weights.expand(len(rows), -1), 16, generator=g)
        amounts = 0.5 + torch.rand(chosen.shape, generator=g)
        x[rows] += torch.nn.functional.embedding_bag(chosen, atoms, per_sample_weights=amounts, mode="sum")
    x[:, :4] *= 4.0
    return x + torch.randn(D_IN, generator=g) * x.std()


@torch.no_grad()
def fvu(runner: Contestant, x: Tensor) -> float:
    """Fraction of variance unexplained on `x [n, d_in]`."""
    error = sum((part - runner.reconstruct(part)).pow(2).sum() for part in x.split(1024))
    return (error / (x - x.mean(0)).pow(2).sum()).item()


def seconds(work: Callable[[], object]) -> float:
    """Wall time of `work`."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def matmul_rate(m: int, batch: int) -> float:
    """FLOP/s of the encoder's multiplication, the best of three."""
    x, w, out = torch.randn(batch, D_IN), torch.randn(D_IN, m), torch.empty(batch, m)
    return 2 * batch * D_IN * m / min(seconds(lambda: torch.mm(x, w, out=out)) for _ in range(3))


def step_memory(name: str, m: int, batch: int) -> int:
    """MiB that a step needs beyond weights and Adam's moments: peak resident memory in a process of its own."""
    data = synthetic(max(2 * m, 2 * batch))
    contestants(64, 64, data)[name]().step(data[:64])  # loads what is imported late
    before = _resident(peak=False)
    runner = contestants(m, batch, data)[name]()
    _trim()
    Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
    for _ in range(3):
        runner.step(data[:batch])
    state = 3 * (2 * D_IN * m + m + D_IN) * 4
    return round((_resident(peak=True) - before - state) / 2**20)


def _in_fresh_process(name: str, m: int, batch: int) -> str:
    command = [sys.executable, __file__, "--step_memory", f"{name},{m},{batch}"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]


def _resident(peak: bool) -> int:
    _trim()
    key = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024


def _trim() -> None:
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", default="3072x1024,3072x4096,12288x1024,12288x4096", help="d_sae x batch")
    parser.add_argument("--steps", type=int, default=5, help="measured steps of each contestant and shape")
    parser.add_argument(
        "--seconds", type=float, default=20, help="training time for the quality table; 0: leave it out"
    )
    parser.add_argument("--no_memory", action="store_true", help="do not start a process per row to measure memory")
    parser.add_argument("--step_memory", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
