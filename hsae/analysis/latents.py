"""The latents of a whole layer, kept sparse."""

from __future__ import annotations

import numpy as np
import torch
from scipy.sparse import csr_array, vstack
from torch import Tensor

from hsae.errors import StoreError
from hsae.sae.model import SparseAutoencoder


@torch.inference_mode()
def sparse_latents(sae: SparseAutoencoder, x: Tensor, batch_size: int = 1024) -> csr_array:
    """Latents `[n, d_sae]` of activations `x [n, d_in]`, float32, zeros not stored.

    StoreError when an activation is not finite: no statistic of such a layer would mean anything.
    """
    if not torch.isfinite(x).all():
        raise StoreError("Activations with NaN or infinite values", "finite numbers", "Extract the store again.")
    parts = [csr_array(sae.encode(part).numpy()) for part in x.split(batch_size)]
    return vstack(parts, format="csr") if parts else csr_array((0, sae.d_sae), dtype=np.float32)
