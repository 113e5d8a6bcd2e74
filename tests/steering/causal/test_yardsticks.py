"""Planted nodes have the planted direction as mean, probe and best of the random ones; noise has none in common."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cosine_similarity, normalize

from hsae.steering.causal.yardsticks import Yardsticks

UNDER = np.arange(400) % 4 == 0
DIRECTION = normalize(torch.arange(1.0, 13), dim=0)


def activations(strength: float) -> torch.Tensor:
    noise = torch.randn(400, 12, generator=torch.Generator().manual_seed(1))
    return 5 + noise + strength * torch.from_numpy(UNDER)[:, None] * DIRECTION


@pytest.mark.parametrize("name", ["mean", "probe", "frozen"])
def test_a_planted_node_has_its_direction(name):
    direction = Yardsticks(activations(6), 200).of_node(UNDER)[name]
    assert cosine_similarity(direction, DIRECTION, dim=0) > (0.7 if name == "frozen" else 0.95)
    noise = Yardsticks(activations(0), 200).of_node(UNDER)[name]
    assert cosine_similarity(noise, DIRECTION, dim=0).abs() < 0.7


def test_random_directions_lie_where_activations_vary():
    x = activations(0) * torch.tensor([10.0] + [0.1] * 11)
    yardsticks = Yardsticks(x, 50)
    directions = torch.stack([yardsticks.random(latent) for latent in range(50)])
    assert (directions[:, 0].abs() > 0.9).float().mean() > 0.9
    assert len(directions.unique(dim=0)) == 50
    again = Yardsticks(x, 50)
    torch.testing.assert_close(again.random(7), directions[7])


def test_a_node_of_all_images_or_of_none_has_no_direction():
    yardsticks = Yardsticks(activations(1), 5)
    assert yardsticks.of_node(np.zeros(400, bool)) == yardsticks.of_node(np.ones(400, bool)) == {}
