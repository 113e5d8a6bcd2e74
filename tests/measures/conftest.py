"""Sparse latents with known statistics."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array


def random_latents(seed: int = 0, n: int = 40, d_sae: int = 7, density: float = 0.3) -> csr_array:
    """Latents with ties, a dead one (the last) and one that always fires (the first)."""
    random = np.random.default_rng(seed)
    z = np.round(random.random((n, d_sae)) * (random.random((n, d_sae)) < density), 1)
    z[:, 0] = np.round(1 + random.random(n), 1)
    z[:, -1] = 0
    return csr_array(z.astype(np.float32))


@pytest.fixture
def z() -> csr_array:
    return random_latents()
