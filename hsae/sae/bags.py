"""Sums and products over bags of weighted rows, which is what is left of a training step when few latents are active.

A bag is a run of pairs (a row's number, a weight); `starts` says where each begins, and it ends where the next begins.
On a GPU where Triton is installed they are kernels of our own, elsewhere PyTorch's embedding bags.
"""

from __future__ import annotations

import os
from functools import lru_cache
from importlib.util import find_spec
from shutil import which
from types import ModuleType

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag


def can_compile() -> bool:
    """Whether kernels can be compiled for a GPU here: that needs Triton and a C compiler."""
    return find_spec("triton") is not None and any(map(which, (os.environ.get("CC", "cc"), "gcc", "clang")))


def sums(rows: Tensor, chosen: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """For each bag the weighted sum of its rows `[bags, d]`: rows `[r, d]`, chosen and weights `[pairs]`."""
    if kernels := _kernels(rows.device.type):
        return kernels.sums(rows, chosen, starts, _ends(starts, len(chosen)), weights)
    return embedding_bag(chosen, rows, starts, per_sample_weights=weights, mode="sum")


def long_sums(rows: Tensor, chosen: Tensor, starts: Tensor, weights: Tensor) -> Tensor:
    """The same, where some bags may have thousands of pairs."""
    if kernels := _kernels(rows.device.type):
        return kernels.long_sums(rows, chosen, starts, _ends(starts, len(chosen)), weights)
    return sums(rows, chosen, starts, weights)


def products(vectors: Tensor, rows: Tensor, chosen: Tensor, starts: Tensor, bags: Tensor | None = None) -> Tensor:
    """For each pair the product of its bag's vector `[bags, d]` and its row: `[pairs]`; bags: `bags_of`, if known."""
    if kernels := _kernels(rows.device.type):
        return kernels.products(vectors, rows, chosen, starts, _ends(starts, len(chosen)))
    # The gradient of a sum of weighted rows by its weights: the one such operation of PyTorch that copies no rows.
    backward = torch.ops.aten._embedding_bag_per_sample_weights_backward
    slopes: Tensor = backward(vectors, rows, chosen, starts, bags_of(starts, len(chosen)) if bags is None else bags, 0)
    return slopes


def bags_of(starts: Tensor, pairs: int) -> Tensor:
    """For each of the pairs the number of its bag, `[pairs]`."""
    every = torch.arange(len(starts), device=starts.device)
    return every.repeat_interleave(_ends(starts, pairs) - starts, output_size=pairs)


def _ends(starts: Tensor, pairs: int) -> Tensor:
    """Where each bag ends."""
    return torch.cat([starts[1:], starts.new_full((1,), pairs)])


@lru_cache
def _kernels(device: str) -> ModuleType | None:
    if device != "cuda" or not can_compile():
        return None
    from hsae.sae import triton_kernels  # only where Triton is

    return triton_kernels
