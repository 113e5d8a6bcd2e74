"""Densities by hand and in agreement with each other; dead units are the empty rows of the map."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.measures.activity import latent_activity
from hsae.measures.sparsity import firing_map, sparsity
from tests.measures.planted_latents import sparse_random


def test_shares_by_hand():
    z = csr_array(np.array([[1, 0, 0.005], [2, 0, 0], [0, 0, 1.0], [1, 0, 1]], np.float32))
    shares = sparsity(z)
    assert shares.population.tolist() == pytest.approx([2 / 3, 1 / 3, 1 / 3, 2 / 3])
    assert shares.lifetime.tolist() == [0.75, 0, 0.75]
    assert shares.near_zero == pytest.approx(1 - 5 / 12)  # 0.005 is near zero for a latent that reaches 1


@pytest.mark.parametrize("seed", range(3))
def test_both_sparsities_have_the_same_mean_and_agree_with_activity(seed):
    z = sparse_random(seed)
    shares, activity = sparsity(z), latent_activity(z)
    assert shares.population.mean() == pytest.approx(shares.lifetime.mean())
    np.testing.assert_allclose(shares.lifetime, activity.frequency)
    assert shares.population.mean() == pytest.approx(activity.population_sparsity)
    scaled = sparsity(csr_array(z * np.float32(7)))
    assert scaled.near_zero == shares.near_zero  # in no unit


def test_silent_latents_and_no_latents():
    silent = sparsity(csr_array((4, 3), dtype=np.float32))
    assert silent.near_zero == 1
    assert not silent.lifetime.any()
    with pytest.raises(InputError, match="one token"):
        sparsity(csr_array((0, 3), dtype=np.float32))


def test_the_map_has_dead_units_as_empty_rows_and_keeps_the_mean():
    dense = sparse_random(0, n_images=96, d_sae=48).toarray()
    dense[:, 10:22] = 0
    shares = firing_map(csr_array(dense), latents=24, images=12)
    assert shares.shape == (24, 12)
    assert (shares.sum(axis=1) == 0).tolist() == [False] * 18 + [True] * 6
    assert shares.mean() == pytest.approx((dense > 0).mean())
    exact = firing_map(csr_array(dense))
    np.testing.assert_allclose(np.sort(exact.mean(axis=1)), np.sort((dense > 0).mean(axis=0)))


def test_images_stay_in_their_order():
    z = np.zeros((20, 2), np.float32)
    z[:10, 1] = 1
    assert firing_map(csr_array(z), latents=2, images=4).tolist() == [[1, 1, 0, 0], [0, 0, 0, 0]]
