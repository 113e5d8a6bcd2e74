"""A linear map between latents: exact where one exists, against half of one by hand, nothing between strangers."""

import numpy as np
import pytest
from scipy.sparse import csr_array, hstack

from hsae.comparison import stitching
from hsae.comparison.stitching import Stitching
from hsae.errors import InputError
from tests.measures.planted_latents import sparse_random


@pytest.mark.parametrize("columns", [3, 1024])
def test_an_exact_linear_map_has_r2_of_one(columns, monkeypatch):
    monkeypatch.setattr(stitching, "_COLUMNS", columns)
    a = sparse_random(0)
    weights = np.random.default_rng(1).uniform(0, 1, (30, 8)).astype(np.float32)
    b = csr_array(a.toarray() @ weights + np.float32(0.5))
    assert Stitching(a).r2(b) == pytest.approx(np.ones(8), abs=1e-4)


def test_strangers_cannot_be_read_off_each_other():
    r2 = Stitching(sparse_random(0, 1000)).r2(sparse_random(1, 1000))
    assert r2.max() < 0.05
    assert r2.min() > -0.2  # the penalty is chosen so that noise does no harm


def test_half_the_variance_explained_is_an_r2_of_one_half():
    a = sparse_random(0, 4000, 5, active=0.5)
    unknown = sparse_random(9, 4000, 1, active=0.5)
    b = csr_array(a[:, [0]].toarray() + unknown.toarray())
    assert Stitching(a).r2(b).item() == pytest.approx(0.5, abs=0.06)


def test_dead_latents_do_no_harm_and_are_not_scored():
    a = sparse_random(0)
    with_dead = csr_array(hstack([csr_array((400, 2), dtype=np.float32), a]))
    assert Stitching(with_dead).r2(a) == pytest.approx(np.ones(30), abs=1e-4)
    r2 = Stitching(a).r2(with_dead)
    assert np.isnan(r2).tolist() == [True, True, *[False] * 30]
    assert Stitching(csr_array((400, 3), dtype=np.float32)).r2(a).max() <= 0.01


def test_too_few_or_other_images_are_refused():
    with pytest.raises(InputError, match="7 images"):
        Stitching(sparse_random(0, 7))
    with pytest.raises(InputError, match="20 images"):
        Stitching(sparse_random(0)).r2(sparse_random(0, 20))
