"""Neuron alignment finds planted neurons, is at chance for random directions; pairwise cosine equals the loop."""

import numpy as np
import pytest
import torch

from hsae.errors import InputError
from hsae.measures.alignment import mean_pairwise_cosine, neuron_alignment


def test_planted_neurons_are_found_with_sign_whatever_their_length():
    neurons = torch.randn(50, 16)
    found = neuron_alignment(torch.stack([3 * neurons[7], -0.1 * neurons[31], torch.zeros(16)]), neurons)
    assert found.neuron.tolist() == [7, 31, -1]
    np.testing.assert_allclose(found.cosine, [1, -1, np.nan], atol=1e-6)


def test_random_directions_are_at_chance_and_planted_ones_above():
    neurons = torch.randn(100, 32)
    random = neuron_alignment(torch.randn(3000, 32), neurons, seed=1)
    assert np.abs(random.cosine).mean() == pytest.approx(random.chance, abs=0.01)
    assert random.popular == pytest.approx(random.popular_chance, abs=0.02)
    planted = neuron_alignment(neurons[:1].repeat(3000, 1) + 0.1 * torch.randn(3000, 32), neurons)
    assert np.abs(planted.cosine).mean() > planted.chance + 0.3
    assert planted.popular > 0.99


def test_more_directions_than_fit_at_once_give_the_same():
    neurons, directions = torch.randn(9, 4), torch.randn(5000, 4)
    found = neuron_alignment(directions, neurons)
    cosines = torch.nn.functional.normalize(directions, dim=-1) @ torch.nn.functional.normalize(neurons, dim=-1).T
    np.testing.assert_array_equal(found.neuron, cosines.abs().argmax(-1).numpy())
    np.testing.assert_allclose(np.abs(found.cosine), cosines.abs().amax(-1).numpy(), atol=1e-6)


def test_widths_that_differ_are_refused():
    with pytest.raises(InputError, match="d_in"):
        neuron_alignment(torch.ones(3, 4), torch.ones(3, 5))


def test_mean_pairwise_cosine_equals_the_loop():
    d = torch.randn(20, 6).double()
    unit = d / d.norm(dim=1, keepdim=True)
    pairs = [(unit[i] @ unit[j]).item() for i in range(20) for j in range(i)]
    assert mean_pairwise_cosine(d) == pytest.approx(np.mean(pairs))
    assert mean_pairwise_cosine(d[:1].repeat(5, 1)) == pytest.approx(1)
    assert np.isnan(mean_pairwise_cosine(d[:1]))
