"""Nothing is lost between parts, every class is in both, and the choice is always the same."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hsae.measures.splits import halves, rows_apart

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60)


@given(LABELS, st.integers(0, 5))
def test_halves_halve_every_class(labels, seed):
    labels = np.array(labels)
    first = halves(labels, seed)
    for label in np.unique(labels):
        n = (labels == label).sum()
        assert abs(2 * first[labels == label].sum() - n) <= 1
    np.testing.assert_array_equal(first, halves(labels, seed))


@given(LABELS, st.floats(0.05, 0.9))
def test_a_share_of_every_class_is_apart_and_some_of_it_stays(labels, share):
    apart = rows_apart(labels, share)
    assert apart.tolist() == sorted(set(apart.tolist()))
    for label in set(labels):
        rows = [row for row, other in enumerate(labels) if other == label]
        n = len(set(rows) & set(apart.tolist()))
        assert n == min(len(rows) - 1, max(1, round(share * len(rows))))
