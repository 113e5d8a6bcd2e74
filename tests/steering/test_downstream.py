from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.errors import InputError
from hsae.steering.downstream import latent_changes, later_layers
from hsae.steering.editor import Editor, run_with_edits
from hsae.steering.edits import Edit
from tests.tiny_models import random_pixels, random_sae, tiny_dinov2

LAYERS = ("block_01", "block_02", "block_03")
SAES = {layer: random_sae(seed) for seed, layer in enumerate(LAYERS)}
P999 = dict.fromkeys(LAYERS, np.linspace(0.5, 2, 24))
EDIT = Edit("block_01", [{"latent": 7, "mode": "add", "amount": 20.0}])


@pytest.fixture(scope="module")
def backbone():
    return tiny_dinov2()


@pytest.fixture(scope="module")
def cached(backbone):
    return backbone.run_pixels(random_pixels())


@torch.no_grad()
def test_the_latents_that_moved_most_come_first(backbone, cached):
    found = latent_changes(Editor(backbone, SAES, P999), EDIT, cached, top=4)
    run = run_with_edits(backbone, [EDIT], SAES, P999, cached, LAYERS[1:])
    moved = {}
    for layer in LAYERS[1:]:
        before, after = (SAES[layer].encode(x[layer][0, 0]).numpy() for x in (cached, run.activations))
        moved |= {(layer, j): abs(after[j] - before[j]) / P999[layer][j] for j in range(24)}
    expected = sorted(moved, key=lambda pair: -moved[pair])[:4]
    assert [(c.layer, c.latent) for c in found] == expected
    change = found[0]
    assert change.before == pytest.approx(SAES[change.layer].encode(cached[change.layer][0, 0])[change.latent].item())


def test_an_edit_of_nothing_or_at_the_end_moves_nothing(backbone, cached):
    neutral = Edit("block_01", [{"latent": 7, "mode": "add", "amount": 0.0}])
    assert latent_changes(Editor(backbone, SAES, P999), neutral, cached) == ()
    last = Edit("block_03", [{"latent": 7, "mode": "add", "amount": 20.0}])
    assert latent_changes(Editor(backbone, SAES, P999), last, cached) == ()


def test_latents_without_a_unit_are_left_out(backbone, cached):
    p999 = P999 | {layer: np.where(np.arange(24) == 3, 1.0, np.nan) for layer in LAYERS[1:]}
    assert {c.latent for c in latent_changes(Editor(backbone, SAES, p999), EDIT, cached, top=50)} <= {3}


def test_later_layers_are_in_the_models_order(backbone):
    assert later_layers(backbone, EDIT, ("block_03", "block_02", "block_01")) == ("block_02", "block_03")
    with pytest.raises(InputError, match="block_99"):
        later_layers(backbone, EDIT, ("block_99",))
