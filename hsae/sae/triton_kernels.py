"""`hsae.sae.bags` as Triton kernels for a GPU.

Rows are read in their own precision and added in float32, in an order that depends on the data alone. The layouts are
those that were fastest on an H200.
"""

# ruff: noqa: ANN001, PLR0913 - a kernel takes pointers and sizes, which have no types

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

COLUMNS = 512
"""Columns of a row that one program adds up."""
LONGEST = 128
"""Pairs that one program adds up: those of a longer bag are added in pieces, then the pieces."""


@triton.jit
def _sums_kernel(
    rows, chosen, weights, starts, ends, out, d, WEIGHTED: tl.constexpr, COLS: tl.constexpr, PAIRS: tl.constexpr
) -> None:
    bag = tl.program_id(0).to(tl.int64)
    columns = tl.program_id(1) * COLS + tl.arange(0, COLS)
    start, end = tl.load(starts + bag), tl.load(ends + bag)
    total = tl.zeros((COLS,), tl.float32)
    for first in range(start, end, PAIRS):
        pairs = first + tl.arange(0, PAIRS)
        there = pairs < end
        row = tl.load(chosen + pairs, there, 0).to(tl.int64) if WEIGHTED else pairs
        part = tl.load(rows + row[:, None] * d + columns[None, :], there[:, None] & (columns < d)[None, :], 0.0).to(
            tl.float32
        )
        if WEIGHTED:
            part *= tl.load(weights + pairs, there, 0.0).to(tl.float32)[:, None]
        total += tl.sum(part, 0)
    tl.store(out + bag * d + columns, total, columns < d)


@triton.jit
def _products_kernel(vectors, rows, chosen, starts, ends, out, d, COLS: tl.constexpr, PAIRS: tl.constexpr) -> None:
    bag = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, COLS)
    start, end = tl.load(starts + bag), tl.load(ends + bag)
    vector = tl.load(vectors + bag * d + columns, columns < d, 0.0).to(tl.float32)
    for first in range(start, end, PAIRS):
        pairs = first + tl.arange(0, PAIRS)
        there = pairs < end
        row = tl.load(chosen + pairs, there, 0).to(tl.int64)
        part = tl.load(rows + row[:, None] * d + columns[None, :], there[:, None] & (columns < d)[None, :], 0.0).to(
            tl.float32
        )
        tl.store(out + pairs, tl.sum(part * vector[None, :], 1), there)


def sums(rows: Tensor, chosen: Tensor, starts: Tensor, ends: Tensor, weights: Tensor) -> Tensor:
    """For each bag the weighted sum of its rows `[bags, d]`, float32: rows `[r, d]`, chosen and weights `[pairs]`."""
    return _sums(rows.contiguous(), chosen, weights, starts, ends)


def long_sums(rows: Tensor, chosen: Tensor, starts: Tensor, ends: Tensor, weights: Tensor) -> Tensor:
    """The same where some bags have thousands of pairs."""
    pieces = (ends - starts + LONGEST - 1).div(LONGEST, rounding_mode="floor")
    last = pieces.cumsum(0)
    most = len(chosen) // LONGEST + len(starts)  # known without asking the device
    every = torch.arange(most, device=rows.device)
    bag = torch.searchsorted(last, every, right=True).clamp_(max=len(starts) - 1)
    begins = starts[bag] + (every - last[bag] + pieces[bag]) * LONGEST
    stops = torch.minimum(begins + LONGEST, ends[bag])
    parts = _sums(rows.contiguous(), chosen, weights, begins, stops)
    return _sums(parts, None, None, last - pieces, last)


def products(vectors: Tensor, rows: Tensor, chosen: Tensor, starts: Tensor, ends: Tensor) -> Tensor:
    """For each pair the product of its bag's vector `[bags, d]` and its row `[r, d]`: `[pairs]`, float32."""
    d, out = rows.shape[1], torch.empty(len(chosen), device=rows.device)
    columns = triton.next_power_of_2(d)
    _products_kernel[(len(starts),)](
        vectors.contiguous(), rows.contiguous(), chosen, starts, ends, out, d,
        COLS=columns, PAIRS=max(1, 8192 // columns), num_warps=8,
    )  # fmt: skip
    return out


def _sums(rows: Tensor, chosen: Tensor | None, weights: Tensor | None, starts: Tensor, ends: Tensor) -> Tensor:
    """Without chosen, bag i is the rows from starts[i] to ends[i] themselves."""
    d, out = rows.shape[1], torch.empty((len(starts), rows.shape[1]), device=rows.device)
    columns, narrow = min(COLUMNS, triton.next_power_of_2(d)), rows.dtype == torch.bfloat16
    pointers = [rows if part is None else part for part in (chosen, weights)]
    _sums_kernel[(len(starts), triton.cdiv(d, columns))](
        rows, *pointers, starts, ends, out, d,
        WEIGHTED=chosen is not None, COLS=columns, PAIRS=16 if narrow else 8, num_warps=2 if narrow else 4,
    )  # fmt: skip
    return out
