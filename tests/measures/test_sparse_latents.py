"""Sparse latents are those of the SAE; images take the largest of their tokens; nonsense is refused."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from hsae.errors import InputError, StoreError
from hsae.measures.sparse_latents import check_latents, image_latents, sparse_latents
from tests.tiny_models import random_sae


def test_sparse_latents_are_the_dense_ones_without_zeros():
    sae, x = random_sae(), torch.randn(10, 32)
    z = sparse_latents(sae, x, batch_size=3)
    np.testing.assert_allclose(z.toarray(), sae.encode(x).detach().numpy(), atol=1e-5)
    assert (z.data > 0).all()
    assert sparse_latents(sae, x[:0]).shape == (0, 24)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_activations_that_are_not_finite_are_refused(value):
    x = torch.zeros(4, 32)
    x[2, 5] = value
    with pytest.raises(StoreError, match="NaN or infinite"):
        sparse_latents(random_sae(), x)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -1.0])
def test_latents_that_are_none_are_refused(bad):
    with pytest.raises(InputError, match="negative or not finite"):
        check_latents(np.array([[0.0, bad]]), 2)


def test_latents_of_another_width_are_refused():
    with pytest.raises(InputError, match=r"\[batch, 3\]"):
        check_latents(np.zeros((2, 2)), 3)


def test_stored_zeros_do_not_count_and_the_callers_matrix_stays():
    stored = csr_array((np.array([0.0, 2.0]), (np.array([0, 1]), np.array([0, 0]))), shape=(2, 1))
    assert check_latents(stored, 1).nnz == 1
    assert stored.nnz == 2


def test_an_image_takes_the_largest_of_its_tokens():
    tokens = csr_array(np.array([[1, 0, 0], [3, 0, 2], [0, 0, 0], [2, 0, 5.0]]))
    assert image_latents(tokens, 2).toarray().tolist() == [[3, 0, 2], [2, 0, 5]]
    assert image_latents(tokens, 1) is tokens
    assert image_latents(csr_array((4, 3)), 2).shape == (2, 3)
    with pytest.raises(InputError, match="4 tokens in images of 3"):
        image_latents(tokens, 3)
