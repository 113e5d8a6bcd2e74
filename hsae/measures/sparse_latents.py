"""Latents of a whole layer as a sparse matrix."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_array, issparse, vstack
from torch import Tensor

from hsae.errors import InputError, StoreError
from hsae.sae.model import SparseAutoencoder


@torch.inference_mode()
def sparse_latents(sae: SparseAutoencoder, x: Tensor, batch_size: int = 1024) -> csr_array:
    """Latents `[n, d_sae]` of activations `x [n, d_in]`, float32, zeros not stored.

    StoreError when an activation is not finite: statistics of such a layer would be meaningless.
    """
    if not torch.isfinite(x).all():
        raise StoreError("Activations with NaN or infinite values", "finite numbers", "Extract the store again.")
    parts = [csr_array(sae.encode(part).cpu().numpy()) for part in x.split(batch_size)]
    return stack_latents(parts, sae.d_sae)


def stack_latents(parts: list[csr_array], d_sae: int) -> csr_array:
    """Batches of latents under each other: `[n, d_sae]`, float32, with no rows for no batches."""
    return vstack(parts, format="csr") if parts else csr_array((0, d_sae), dtype=np.float32)


def check_latents(z: Any, d_sae: int) -> csr_array:
    """Latents `[batch, d_sae]` (tensor, array or scipy sparse) as a sparse matrix; InputError unless finite, >= 0."""
    array = z.detach().float().cpu().numpy() if isinstance(z, Tensor) else z
    rows = csr_array(array)
    if array.ndim != 2 or rows.shape[1] != d_sae:
        raise InputError(f"latents of shape {tuple(array.shape)}", f"[batch, {d_sae}]")
    if issparse(array) and not rows.data.all():
        rows = rows.copy()  # eliminate_zeros works in place, on the caller's matrix
        rows.eliminate_zeros()
    if not (np.isfinite(rows.data) & (rows.data > 0)).all():
        raise InputError("latents that are negative or not finite", "activations of an SAE, 0 where a latent is silent")
    return rows


def image_latents(z: csr_array, tokens: int) -> csr_array:
    """The largest latent over the tokens of each image: `[images x tokens, d_sae]` to `[images, d_sae]`."""
    if tokens == 1:
        return z
    if tokens < 1 or z.shape[0] % tokens:
        raise InputError(f"{z.shape[0]} tokens in images of {tokens}", "the same number of tokens for every image")
    entries = z.tocoo()
    shape = (z.shape[0] // tokens, z.shape[1])
    cell = entries.row.astype(np.int64) // tokens * shape[1] + entries.col
    order = np.argsort(cell, kind="stable")
    cells, first = np.unique(cell[order], return_index=True)
    values = np.maximum.reduceat(entries.data[order], first) if len(first) else entries.data[:0]
    return csr_array((values, (cells // shape[1], cells % shape[1])), shape=shape)
