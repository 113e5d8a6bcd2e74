"""Node probes find a planted direction, stay at chance on noise, and are ridge regression."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hsae.measures.wordnet.node_probes import (
    RIDGE,
    best_thresholds,
    fit_node_probes,
    node_mean_differences,
)

MEMBERS = torch.tensor([[1, 1, 0], [0, 1, 1]], dtype=torch.bool)


def test_planted_directions_are_found_whatever_the_units():
    labels = torch.randint(0, 3, (600,))
    x = 0.1 * torch.randn(600, 5) + 100
    x[:, 1] += 50 * (labels == 2)
    x[:, 3] *= 1e-3
    scores = fit_node_probes(x, labels, MEMBERS).scores(x)
    under = MEMBERS.T[labels]
    assert scores[under[:, 0], 0].min() > scores[~under[:, 0], 0].max()  # class 2 against the rest
    noise = fit_node_probes(torch.randn(600, 5), labels, MEMBERS).scores(torch.randn(600, 5))
    gap = noise[under[:, 1], 1].mean() - noise[~under[:, 1], 1].mean()
    assert gap.abs() < 0.05


def test_the_solution_is_that_of_ridge_regression():
    x, labels = torch.randn(40, 3).double(), torch.randint(-1, 3, (40,))
    probes = fit_node_probes(x.float(), labels, MEMBERS)
    x, target = x[labels >= 0], MEMBERS.T[labels[labels >= 0]].double()
    standard = (x - x.mean(0)) / x.std(0, correction=0)
    rows = torch.cat([standard, (RIDGE * len(x)) ** 0.5 * torch.eye(3)])
    weights = torch.linalg.lstsq(rows, torch.cat([target - target.mean(0), torch.zeros(3, 2)])).solution
    torch.testing.assert_close(probes.scores(x.float()), (standard @ weights).float(), atol=1e-4, rtol=1e-4)


def test_a_constant_dimension_has_no_say():
    labels = torch.arange(30) % 3
    x = torch.randn(30, 3)
    x[:, 2] = 7
    probes = fit_node_probes(x, labels, MEMBERS)
    assert torch.isfinite(probes.W).all()
    assert probes.W[2].abs().max() < 1e-6


@given(seed=st.integers(0, 30))
def test_best_thresholds_are_as_good_as_any(seed):
    random = np.random.default_rng(seed)
    scores, truth = np.round(random.random((30, 3), np.float32), 1), random.random((30, 3)) < 0.4
    best = _f1(scores >= best_thresholds(scores, truth), truth)
    for threshold in np.unique(scores):
        assert (_f1(scores >= threshold, truth) <= best + 1e-12).all()


def _f1(yes, truth):
    return 2 * (yes & truth).sum(axis=0) / np.maximum(1, yes.sum(axis=0) + truth.sum(axis=0))


def test_node_means_are_the_difference_of_the_two_sides():
    x, labels = torch.randn(40, 3), torch.arange(40) % 4 - 1
    found = node_mean_differences(x, labels, MEMBERS)
    for row, (first, second) in zip(found, ((0, 1), (1, 2)), strict=True):
        inside, outside = (labels == first) | (labels == second), (labels >= 0) & (labels != first) & (labels != second)
        torch.testing.assert_close(row, x[inside].mean(0) - x[outside].mean(0))


def test_a_larger_penalty_gives_smaller_weights():
    x, labels = torch.randn(60, 5), torch.arange(60) % 3
    sizes = [fit_node_probes(x, labels, MEMBERS, ridge).W.norm() for ridge in (1e-3, 1e-1, 10.0)]
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[-1] < sizes[0] / 5
