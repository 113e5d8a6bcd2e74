"""How far segments lie inside others is worked out by hand; planted clusters nest, noise nests by chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.measures.segments import cut, inside, inside_by_chance


def test_inside_is_worked_out_by_hand():
    fine, coarse = np.array([0, 0, 0, 5, 5, 7]), np.array([1, 1, 2, 2, 2, 1])
    assert inside(fine, coarse) == pytest.approx((2 + 2 + 1) / 6)
    assert inside(coarse, fine) == pytest.approx((2 + 2) / 6)
    assert inside(np.arange(6), coarse) == 1
    assert inside(np.zeros(6, int), coarse) == 0.5


def test_names_of_segments_mean_nothing():
    random = np.random.default_rng(0)
    fine, coarse = random.integers(0, 5, 60), random.integers(0, 3, 60)
    names = random.permutation(5) * 10
    assert inside(names[fine], coarse) == inside(fine, coarse)


def test_chance_has_the_same_sizes():
    coarse = np.repeat([0, 1], [90, 10])
    assert inside_by_chance(np.repeat([0, 1], 50), coarse) == pytest.approx(0.9)  # the larger one wins in both
    assert 0.5 < inside_by_chance(np.arange(100) // 10, np.arange(100) // 50) < 0.75


def planted(noise: float) -> tuple[torch.Tensor, np.ndarray]:
    """Places of four clusters, two of which are near each other, twice."""
    generator = torch.Generator().manual_seed(0)
    coarse, fine = torch.randn(2, 16, generator=generator), torch.randn(4, 16, generator=generator)
    truth = np.arange(120) % 4
    x = 3 * coarse[truth // 2] + fine[truth]
    return x + noise * torch.randn(120, 16, generator=generator), truth


def test_planted_clusters_are_found_and_nest():
    x, truth = planted(0.1)
    two, four = cut(x, 2), cut(x, 4)
    assert inside(four, two) == inside(truth, two) == inside(four, truth) == 1
    assert len(set(two)) == 2
    assert (cut(x, 4) == four).all()


def test_noise_nests_hardly_more_than_by_chance():
    noise = torch.randn(256, 64, generator=torch.Generator().manual_seed(0))
    two, eight = cut(noise, 2), cut(noise, 8)
    assert inside(eight, two) < 0.85
    assert inside(eight, two) - inside_by_chance(eight, two) < 0.25


def test_length_does_not_count():
    x, _ = planted(0.5)
    assert (cut(x, 4) == cut(x * torch.linspace(0.1, 9, len(x))[:, None], 4)).all()
