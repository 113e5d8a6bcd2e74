"""Activity: hand-computed values, the sum rule of both sparsities, batches equal the whole."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.measures.activity import ActivityFitter, latent_activity
from tests.measures.conftest import random_latents

# Three tokens, three latents: one fires twice (2 and 4), one once (3), one never.
HAND = np.array([[2.0, 0.0, 0.0], [4.0, 3.0, 0.0], [0.0, 0.0, 0.0]])


def test_hand_computed_values():
    found = latent_activity(csr_array(HAND))
    np.testing.assert_allclose(found.frequency, [2 / 3, 1 / 3, 0])
    np.testing.assert_allclose(found.mean, [3, 3, np.nan])
    np.testing.assert_allclose(found.mean_over_all, [2, 1, 0])
    np.testing.assert_allclose(found.max, [4, 3, 0])
    np.testing.assert_allclose(found.p999, [2 + 0.999 * 2, 3, 0])
    assert found.dead.tolist() == [False, False, True]


@given(seed=st.integers(0, 50), cuts=st.lists(st.integers(0, 40), max_size=3))
def test_batches_in_any_cut_give_the_whole_and_numpys_quantile(seed, cuts):
    z = random_latents(seed)
    fitter = ActivityFitter(z.shape[1])
    for rows in np.split(np.arange(40), sorted(cuts)):
        fitter.update(z[rows])
    parts, whole, dense = fitter.compute(), latent_activity(z), z.toarray()
    for name in ("frequency", "mean", "mean_over_all", "max", "p999", "dead"):
        np.testing.assert_array_equal(getattr(parts, name), getattr(whole, name))
    for latent in np.flatnonzero(~whole.dead):
        fired = dense[:, latent][dense[:, latent] > 0].astype(np.float64)
        assert whole.p999[latent] == pytest.approx(np.quantile(fired, 0.999))
        assert whole.max[latent] == fired.max()


@given(seed=st.integers(0, 50))
def test_mean_lifetime_sparsity_is_population_sparsity(seed):
    z = random_latents(seed)
    per_token = (z.toarray() > 0).mean(1)
    assert latent_activity(z).population_sparsity == pytest.approx(per_token.mean())


def test_order_of_the_tokens_does_not_matter(z):
    shuffled = z[np.random.default_rng(0).permutation(z.shape[0])]
    np.testing.assert_allclose(latent_activity(shuffled).mean, latent_activity(z).mean)
    np.testing.assert_array_equal(latent_activity(shuffled).p999, latent_activity(z).p999)


def test_dense_and_tensor_forms_agree(z):
    sparse = latent_activity(z)
    for form in (z.toarray(), torch.from_numpy(z.toarray())):
        np.testing.assert_array_equal(ActivityFitter(7).update(form).compute().mean, sparse.mean)


def test_a_dead_layer_and_a_single_token_have_values():
    dead = latent_activity(csr_array((5, 4), dtype=np.float32))
    assert dead.dead.all()
    assert dead.population_sparsity == 0
    assert np.isnan(dead.mean).all()
    single = latent_activity(csr_array(np.array([[0.0, 7.0]])))
    assert single.p999.tolist() == [0, 7]
    assert single.frequency.tolist() == [0, 1]


def test_no_token_is_an_error():
    with pytest.raises(InputError, match="no tokens"):
        ActivityFitter(3).compute()
