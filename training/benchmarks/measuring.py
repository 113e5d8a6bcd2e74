"""What the benchmark measures with: activations of a planted dictionary, time, matrix multiplication."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import Tensor

ACTIVE, ATOMS, ZIPF = 32, 2000, 0.7


def synthetic(n: int, d_in: int, seed: int = 0, active: int = ACTIVE) -> Tensor:
    """Activations `[n, d_in]`: sums of `active` of ATOMS unit atoms, of frequency rank^-ZIPF, by amounts in 0.5 .. 1.5.

    With noise of 0.02 a coordinate, four coordinates four times as loud, and a common offset as large as their spread.
    """
    g = torch.Generator().manual_seed(seed)
    atoms = torch.nn.functional.normalize(torch.randn(ATOMS, d_in, generator=g), dim=-1)
    weights = torch.arange(1, ATOMS + 1).float().pow(-ZIPF)
    x = 0.02 * torch.randn(n, d_in, generator=g)
    for rows in torch.arange(n).split(4096):
        chosen = torch.multinomial(weights.expand(len(rows), -1), active, generator=g)
        amounts = 0.5 + torch.rand(chosen.shape, generator=g)
        x[rows] += torch.nn.functional.embedding_bag(chosen, atoms, per_sample_weights=amounts, mode="sum")
    x[:, :4] *= 4.0
    return x + torch.randn(d_in, generator=g) * x.std()


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall time of `work`, until the device has done it."""
    _finish(device)
    began = time.perf_counter()
    work()
    _finish(device)
    return time.perf_counter() - began


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def matmul_rate(d_in: int, m: int, batch: int, device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the encoder's multiplication in a precision, the best of three."""
    x, w = (torch.randn(shape, device=device).to(dtype) for shape in ((batch, d_in), (d_in, m)))
    out = torch.empty(batch, m, device=device, dtype=dtype)
    return 2 * batch * d_in * m / min(seconds(lambda: torch.mm(x, w, out=out), device) for _ in range(3))
