"""From pre-activations to latents: the only part in which the SAE variants differ at inference.

Every function maps `[..., d_sae]` to non-negative latents of the same shape and keeps no state.
"""

from __future__ import annotations

import torch
from torch import Tensor


def relu(pre: Tensor) -> Tensor:
    """z = max(pre, 0) (Cunningham et al., arXiv 2309.08600)."""
    return torch.relu(pre)


def topk(pre: Tensor, k: int) -> Tensor:
    """The k largest positive pre-activations of each token, all others 0 (Gao et al., arXiv 2406.04093)."""
    values, indices = torch.topk(pre, k, dim=-1)
    return torch.zeros_like(pre).scatter(-1, indices, torch.relu(values))
