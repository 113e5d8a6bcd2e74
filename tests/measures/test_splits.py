"""A share of every class is set apart, and which one does not change."""

import numpy as np

from hsae.measures.splits import heldout_rows


def test_a_share_of_every_class_is_set_apart():
    labels = [0] * 10 + [1] * 5 + [None] * 20
    apart = heldout_rows(labels, 0.2)
    assert [sum(np.isin(apart, rows)) for rows in (range(10), range(10, 15), range(15, 35))] == [2, 1, 4]
    assert list(apart) == sorted(heldout_rows(labels, 0.2)) != list(heldout_rows(labels, 0.2, seed=1))


def test_the_only_image_of_a_class_stays():
    assert list(heldout_rows([0, 1, 1], 0.9)) in ([1], [2])
