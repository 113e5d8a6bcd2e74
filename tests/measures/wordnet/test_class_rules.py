"""Other selection rules, weighted coverage and halves, by hand and against their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsae.errors import InputError
from hsae.hierarchy import coverage_rows, lch_rows
from hsae.measures.splits import halves
from hsae.measures.wordnet import select_by_mean, select_by_top_images, weighted_coverage_rows


def test_relative_mean_keeps_classes_near_the_largest():
    means = np.array([[4.0, 2.0, 1.9, np.nan], [0.0, 0.0, 0.0, np.nan], [0.0, 0.1, 0.0, 0.0]])
    assert select_by_mean(means).tolist() == [[True, True, False, False], [False] * 4, [False, True, False, False]]
    assert select_by_mean(means, 0.47)[0].tolist() == [True, True, True, False]
    assert select_by_mean(1000 * means).tolist() == select_by_mean(means).tolist()
    with pytest.raises(InputError, match="rho"):
        select_by_mean(means, 0)


def test_top_images_give_their_classes():
    labels = np.array([2, 0, 2, -1])
    chosen = select_by_top_images([np.array([0, 2, 3]), np.array([], int), np.array([1, 0])], labels, 3)
    assert chosen.tolist() == [[False, False, True], [False] * 3, [True, False, True]]


@given(seed=st.integers(0, 30))
def test_weighted_coverage_with_rates_0_and_1_is_the_coverage(small_classes, seed):
    selected = np.random.default_rng(seed).random((6, 16)) < 0.3
    selected[0] = False
    position = lch_rows(small_classes, selected)
    weighted = weighted_coverage_rows(small_classes, selected.astype(float), position)
    np.testing.assert_allclose(weighted, coverage_rows(small_classes, selected))


def test_weighted_coverage_is_the_mean_rate_of_the_classes_with_images(small):
    rates = np.full((1, 16), 0.0)
    rates[0, :3] = [0.9, 0.6, np.nan]  # three cats, one without images
    cats = np.array([small.position("n02121808")])
    assert weighted_coverage_rows(small, rates, cats)[0] == pytest.approx(0.75)


@given(labels=st.lists(st.integers(-1, 4), max_size=40), seed=st.integers(0, 9))
def test_halves_split_every_class_evenly_and_always_alike(labels, seed):
    labels = np.array(labels, dtype=np.int64)
    first = halves(labels, seed)
    np.testing.assert_array_equal(first, halves(labels, seed))
    for label in np.unique(labels):
        assert abs(2 * first[labels == label].sum() - (labels == label).sum()) <= 1
    assert abs(2 * first.sum() - len(labels)) <= 1


@pytest.fixture(scope="session")
def small_classes(small):
    return small
