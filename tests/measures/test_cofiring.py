"""Co-firing: Jaccard's share of the images, as counted one pair at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hsae.measures import cofiring as module
from hsae.measures.cofiring import NEIGHBOURS, cofiring


def test_by_hand():
    z = np.array([[1.0, 2, 0, 0], [3, 0.1, 0, 0], [5, 0, 1, 0], [0, 0, 1, 0]])
    assert cofiring(csr_array(z)) == [((1, 67), (2, 25)), ((0, 67),), ((0, 25),), ()]


@given(st.integers(1, 30), st.integers(1, 12), st.integers(0, 2**31), st.integers(1, 5))
def test_as_counted_pair_by_pair(n_images, n_latents, seed, at_once):
    random = np.random.default_rng(seed)
    z = random.random((n_images, n_latents)) * (random.random((n_images, n_latents)) < 0.4)
    old, module._AT_ONCE = module._AT_ONCE, at_once
    try:
        found = cofiring(csr_array(z))
    finally:
        module._AT_ONCE = old
    fires = z > 0
    for latent, neighbours in enumerate(found):
        shares = {}
        for other in range(n_latents):
            both, either = (fires[:, latent] & fires[:, other]).sum(), (fires[:, latent] | fires[:, other]).sum()
            if other != latent and both:
                shares[other] = int(np.rint(100 * np.float32(both) / np.float32(either)))
        expected = sorted((-share, other) for other, share in shares.items() if share > 0)[:NEIGHBOURS]
        assert list(neighbours) == [(other, -share) for share, other in expected]
