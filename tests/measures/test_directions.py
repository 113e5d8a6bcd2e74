"""Untrained directions fire as often as asked, follow the data's spread, and include every axis."""

import numpy as np
import pytest
import torch

from hsae.errors import InputError
from hsae.measures.directions import matched_latents, neuron_directions, principal_directions, random_directions


@pytest.mark.parametrize("n", [30, 700])
def test_each_direction_fires_at_a_frequency_of_the_sae(n):
    x, d = torch.randn(200, 8), torch.randn(n, 8)
    z = matched_latents(x, d, np.array([0.05, 0.4]))
    fired = np.unique((z > 0).sum(axis=0))
    assert fired.tolist() == [10, 80]
    projection = (x @ d.T).numpy()
    for column in (0, n - 1):
        strongest = np.argsort(-projection[:, column])[: (z[:, [column]] > 0).sum()]
        assert set(np.flatnonzero(z[:, [column]].toarray())) == set(strongest)


def test_extreme_frequencies_and_constant_activations_stay_defined():
    x = torch.randn(5, 3)
    assert (matched_latents(x, torch.eye(3), np.array([1.0])) > 0).sum(axis=0).tolist() == [4, 4, 4]
    assert (matched_latents(x, torch.eye(3), np.array([1e-6])) > 0).sum(axis=0).tolist() == [1, 1, 1]
    assert matched_latents(torch.ones(5, 3), torch.eye(3), np.array([0.5])).nnz == 0
    with pytest.raises(InputError, match="no frequency"):
        matched_latents(x, torch.eye(3), np.array([]))


def test_random_directions_have_the_datas_covariance_and_length_1():
    x = torch.randn(4000, 3) * torch.tensor([10.0, 1, 0.1]) + 100
    d = random_directions(x, 4000)
    torch.testing.assert_close(d.norm(dim=1), torch.ones(4000))
    assert d[:, 0].abs().median() > 0.9
    assert d.mean(0).abs().max() < 0.06  # the mean of x has no say
    assert torch.equal(d, random_directions(x, 4000))
    assert not torch.equal(d, random_directions(x, 4000, seed=1))


def test_neurons_and_principal_axes_both_ways():
    assert torch.equal(neuron_directions(2), torch.tensor([[1.0, 0], [0, 1], [-1, 0], [0, -1]]))
    x = torch.randn(500, 3) @ torch.diag(torch.tensor([1.0, 5, 0.1]))
    axes = principal_directions(x)
    assert axes.shape == (6, 3)
    torch.testing.assert_close(axes[:3] @ axes[:3].T, torch.eye(3), atol=1e-5, rtol=0)
    assert axes[2, 1].abs() > 0.99
