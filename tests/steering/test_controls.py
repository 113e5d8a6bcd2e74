from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.errors import InputError
from hsae.steering.controls import NEIGHBOURS, along, equal_rate_latent, feature_like, random_like
from hsae.steering.deltas import Change
from tests.tiny_models import random_sae

DELTAS = {"block_02": torch.randn(1, 17, 32), "block_03": torch.randn(1, 17, 32)}
DELTAS["block_02"][:, 3:] = 0


def test_random_directions_are_seeded_and_have_each_tokens_norm():
    one, same, other = random_like(DELTAS, 1), random_like(DELTAS, 1), random_like(DELTAS, 2)
    for layer, delta in DELTAS.items():
        torch.testing.assert_close(one[layer].norm(dim=-1), delta.norm(dim=-1))
        assert torch.equal(one[layer], same[layer])
        assert not torch.equal(one[layer], other[layer])


def test_other_features_move_as_far_in_the_same_sense():
    saes = {layer: random_sae() for layer in DELTAS}
    changes = [[Change("block_02", 3, 2.0, 0.5), Change("block_03", 4, 0.0, 1.0)]]
    fires = {"block_02": (3, 9), "block_03": (4, 9)}  # so that 9 is the only other latent
    rates = {layer: np.where(np.isin(np.arange(24), latents), 0.1, 0.0) for layer, latents in fires.items()}
    found = feature_like(DELTAS, changes, saes, rates, 0)
    for layer, delta in DELTAS.items():
        torch.testing.assert_close(found[layer].norm(dim=-1), delta.norm(dim=-1))
    for layer, sense in (("block_02", -1), ("block_03", 1)):
        cosine = torch.cosine_similarity(found[layer][0, 0], saes[layer].W_dec[9].detach(), dim=0)
        assert cosine.item() == pytest.approx(sense)


def test_an_edit_that_moves_no_latent_has_a_control_that_adds_nothing():
    none = {"block_02": torch.zeros(2, 17, 32)}
    found = feature_like(none, [[], []], {"block_02": random_sae()}, {"block_02": np.ones(24)}, 0)
    assert not found["block_02"].any()
    assert not along(torch.ones(2, 3), torch.zeros(3)).any()


def test_the_other_feature_fires_about_as_often():
    rates = np.linspace(0, 1, 101)
    for seed in range(20):
        found = equal_rate_latent(rates, 50, seed, {51})
        assert found not in (50, 51)
        assert abs(rates[found] - rates[50]) <= NEIGHBOURS / 100
    assert equal_rate_latent(rates, 50, 1) == equal_rate_latent(rates, 50, 1)
    assert len({equal_rate_latent(rates, 50, seed) for seed in range(20)}) > 1


def test_silent_latents_are_no_control():
    assert equal_rate_latent([0.1, 0.0, np.nan, 0.9], 0, 0) == 3
    with pytest.raises(InputError, match="ever fires"):
        equal_rate_latent([0.1, 0.0], 0, 0)
