"""Average precision of every latent and node at once equals the definition, threshold by threshold."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.measures import average_precision as module
from hsae.measures.average_precision import average_precision, average_precision_at
from tests.measures.conftest import random_latents

MEMBERS = np.array([[1, 0, 0], [0, 1, 1], [1, 1, 1], [0, 0, 0]], bool)


def by_definition(values, relevant) -> float:
    """sum_n (R_n - R_{n-1}) P_n over the distinct values as thresholds, from the largest down; NaN if none."""
    if not relevant.any():
        return np.nan
    area, recall = 0.0, 0.0
    for threshold in sorted(set(values), reverse=True):
        found = values >= threshold
        now = (found & relevant).sum() / relevant.sum()
        area += (now - recall) * (found & relevant).sum() / found.sum()
        recall = now
    return area


@given(seed=st.integers(0, 1000), n=st.integers(1, 30))
def test_every_cell_is_that_of_the_definition(seed, n):
    z, labels = random_latents(seed, n), np.random.default_rng(seed).integers(0, 3, n)
    found = average_precision(z, labels, MEMBERS)
    expected = [[by_definition(column, row[labels]) for row in MEMBERS] for column in z.toarray().T]
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    own = MEMBERS[np.arange(z.shape[1]) % 4]
    np.testing.assert_allclose(
        average_precision_at(z, labels, own), found[np.arange(len(own)), np.arange(len(own)) % 4]
    )


def test_by_hand():
    """Relevant images first and third of four ranked, a third one silent: (1 + 2/3 + 3/5) / 3."""
    z, labels = csr_array(np.array([[4, 3, 2, 1, 0]], np.float32).T), np.array([0, 1, 0, 1, 0])
    assert average_precision(z, labels, MEMBERS)[0, 0] == pytest.approx((1 + 2 / 3 + 3 / 5) / 3)


def test_a_silent_latent_gets_the_share_of_the_node_and_the_root_gets_1():
    labels = np.array([0, 0, 1, 2])
    np.testing.assert_allclose(average_precision(csr_array((4, 1)), labels, MEMBERS), [[0.5, 0.5, 1, np.nan]])


def test_the_parts_in_which_it_is_counted_do_not_show(monkeypatch):
    z, labels = random_latents(1), np.random.default_rng(1).integers(0, 3, 40)
    whole = average_precision(z, labels, MEMBERS)
    monkeypatch.setattr(module, "_CELLS", 1)
    np.testing.assert_allclose(average_precision(z, labels, MEMBERS), whole, rtol=1e-12)


def test_the_order_of_the_images_does_not_count():
    z, labels = random_latents(2), np.random.default_rng(2).integers(0, 3, 40)
    order = np.random.default_rng(3).permutation(40)
    again = average_precision(z[order], labels[order], MEMBERS)
    np.testing.assert_allclose(again, average_precision(z, labels, MEMBERS))


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="3 labels"):
        average_precision(random_latents(), np.zeros(3, int), MEMBERS)
    with pytest.raises(InputError, match="a class for every image"):
        average_precision_at(random_latents(), np.full(40, -1), MEMBERS)
