"""Partners are found whatever the order of the latents, and strangers are no partners."""

from __future__ import annotations

import numpy as np
import pytest

from hsae.errors import InputError
from hsae.measures.stability import partners, same_name


def decoder(seed: int, n: int = 12) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, 64)).astype(np.float32)


def test_a_permuted_decoder_is_the_same_and_another_is_not():
    first, order = decoder(0), np.random.default_rng(1).permutation(12)
    found = partners(first, 3 * first[order])
    assert found.stable == 1
    np.testing.assert_array_equal(order[found.partner], np.arange(12))
    assert partners(first, decoder(2)).stable == 0
    half = np.concatenate([first[:6], decoder(3, 6)])
    assert partners(first, half).stable == 0.5


def test_names_are_those_of_the_partners():
    first, order = decoder(0, 4), np.array([2, 0, 3, 1])
    found = partners(first, first[order])
    names = np.array(["a", "b", None, "c"], dtype=object)
    assert same_name(found, names, names[order]) == 1
    assert same_name(found, names, np.array(["x", "a", "c", None], dtype=object)) == pytest.approx(2 / 3)
    assert same_name(found, np.array([None] * 4, dtype=object), names) is None


def test_decoders_of_unequal_shape_are_refused():
    with pytest.raises(InputError, match="equal shape"):
        partners(decoder(0, 4), decoder(0, 5))
