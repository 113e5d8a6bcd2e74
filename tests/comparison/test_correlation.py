"""Correlations of sparse latents against numpy's of dense ones, whatever the blocks."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from hsae.comparison import correlation
from hsae.comparison.correlation import correlations
from hsae.errors import InputError
from tests.measures.planted_latents import disguised, sparse_random


@pytest.mark.parametrize("rows", [1, 7, 512])
def test_it_is_pearsons_r(rows, monkeypatch):
    monkeypatch.setattr(correlation, "_ROWS", rows)
    a, b = sparse_random(0, d_sae=12), sparse_random(1, d_sae=5)
    dense = np.corrcoef(a.toarray().T, b.toarray().T)[:12, 12:]
    assert correlations(a, b) == pytest.approx(dense, abs=1e-6)
    assert correlations(b, a) == pytest.approx(dense.T, abs=1e-6)


def test_units_do_not_matter():
    a = sparse_random(0)
    b, order = disguised(a, noise=0)
    assert correlations(a, b)[order, np.arange(len(order))] == pytest.approx(1, abs=1e-6)


def test_a_latent_that_never_changes_has_no_correlation():
    a = csr_array(np.array([[0, 0.3, 1], [0, 0.3, 2], [0, 0.3, 4]], np.float32))
    assert correlations(a, a) == pytest.approx(np.diag([0, 0, 1]))


def test_other_images_are_refused():
    with pytest.raises(InputError, match="400 and of 10"):
        correlations(sparse_random(0), sparse_random(0, 10))
