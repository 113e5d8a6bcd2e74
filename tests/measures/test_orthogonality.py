"""Orthogonal, equal and random directions have the cosines that follow by hand."""

import math

import pytest
import torch

from hsae.measures.orthogonality import orthogonality, random_orthogonality


def test_a_basis_is_orthogonal_and_copies_are_not():
    basis = 7 * torch.eye(6)
    assert orthogonality(basis).mean == orthogonality(basis).nearest == 0
    twice = torch.cat([basis, -basis])
    assert orthogonality(twice).nearest == pytest.approx(1)
    assert orthogonality(twice).mean == pytest.approx(1 / 11)  # one of the 11 others


def test_naive_pairs_give_the_same():
    directions = torch.randn(1100, 5)  # more than are compared at once
    unit = torch.nn.functional.normalize(directions.double(), dim=-1)
    cosines = (unit @ unit.T).abs().fill_diagonal_(0)
    measured = orthogonality(directions)
    assert measured.mean == pytest.approx(cosines.sum().item() / (1100 * 1099), rel=1e-5)
    assert measured.nearest == pytest.approx(cosines.amax(1).median().item(), rel=1e-5)


def test_chance_is_that_of_the_formula_and_planted_clusters_exceed_it():
    chance = random_orthogonality(400, 64)
    assert chance.mean == pytest.approx(math.sqrt(2 / (math.pi * 64)), rel=0.02)
    clustered = torch.randn(40, 64).repeat_interleave(10, 0) + 0.3 * torch.randn(400, 64)
    assert orthogonality(clustered).nearest > 0.8 > chance.nearest


def test_one_direction_has_no_pairs():
    assert math.isnan(orthogonality(torch.ones(1, 3)).mean)
    assert math.isnan(random_orthogonality(0, 3).nearest)
