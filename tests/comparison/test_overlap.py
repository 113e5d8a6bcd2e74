"""Top-k image overlap: by hand, against sets, and its chance level against draws."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hsae.comparison.overlap import chance_best_overlap, chance_overlap, overlaps, top_sets
from hsae.errors import InputError
from hsae.measures.top_images import top_images
from tests.measures.planted_latents import sparse_random

# Images 0 to 4; latents: strong on 0 1 2, strong on 2 3 4, silent.
A = csr_array(np.array([[9, 1, 0], [8, 0, 0], [7, 3, 0], [1, 2, 0], [0, 5, 0]], np.float32))
B = csr_array(np.array([[0, 3], [4, 2], [5, 1], [6, 0], [0, 0]], np.float32))


def sets(z, k):
    return top_sets(top_images(z, k), z.shape[0], k)


def test_overlap_by_hand():
    # k 2: A has {0, 1}, {4, 2}, {}; B has {3, 2}, {0, 1}.
    assert overlaps(sets(A, 2), sets(B, 2), 2).tolist() == [[0, 1], [0.5, 0], [0, 0]]
    # k 3: A has {0, 1, 2}, {4, 2, 3}, {}; B has {3, 2, 1}, {0, 1, 2}.
    assert overlaps(sets(A, 3), sets(B, 3), 3) == pytest.approx(np.array([[2 / 3, 1], [2 / 3, 1 / 3], [0, 0]]))


def test_a_latent_that_fires_on_fewer_images_shares_at_most_those():
    rare = csr_array(np.eye(5, 1, dtype=np.float32))
    assert overlaps(sets(rare, 4), sets(rare, 4), 4).item() == 0.25


@given(st.integers(0, 1000), st.integers(1, 12))
def test_overlap_is_that_of_sets_and_symmetric(seed, k):
    a, b = sparse_random(seed, 25, 6), sparse_random(seed + 1, 25, 4)
    found = overlaps(sets(a, k), sets(b, k), k)
    mine, theirs = (top_images(z, k).images for z in (a, b))
    assert found == pytest.approx(np.array([[len(set(f) & set(g)) / k for g in theirs] for f in mine]))
    assert (overlaps(sets(b, k), sets(a, k), k) == found.T).all()
    assert found.min() >= 0
    assert found.max() <= 1


def test_chance_levels_are_those_of_random_sets():
    generator = np.random.default_rng(0)
    n, k, latents = 60, 9, 40
    mine = np.arange(k)
    draws = generator.random((500, latents, n)).argsort(-1)[..., :k]
    shared = np.isin(draws, mine).sum(-1) / k
    assert shared.mean() == pytest.approx(chance_overlap(k, n), abs=0.003)
    assert shared.max(1).mean() == pytest.approx(chance_best_overlap(k, n, latents), abs=0.01)
    assert chance_best_overlap(k, n, 1) == pytest.approx(chance_overlap(k, n))


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(InputError, match="top 6 of 5 images"):
        top_sets(top_images(A, 6), 5, 6)
    with pytest.raises(InputError, match="same images"):
        overlaps(sets(A, 2), sets(sparse_random(0), 2), 2)
