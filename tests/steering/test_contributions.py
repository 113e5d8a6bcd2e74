"""Contributions of latents to a node add up to its log-odds where the probe reads, and foretell small steps before."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hsae.errors import InputError
from hsae.measures.probes import LinearProbe
from hsae.steering.contributions import Contributions, ReadNode, contributions
from hsae.steering.readout import Readout
from tests.tiny_models import WIDTH, random_pixels, random_sae, tiny_dinov2

LAST, BEFORE = "block_03", "block_02"
MEMBERS = torch.tensor([True, True, False, False, False])


@pytest.fixture(scope="module")
def backbone():
    return tiny_dinov2()


@pytest.fixture(scope="module")
def activations(backbone):
    with torch.no_grad():
        return backbone.run_pixels(random_pixels(), [BEFORE, LAST])


def read_node(backbone, token="cls", members=MEMBERS) -> ReadNode:
    generator = torch.Generator().manual_seed(1)
    W, b = 0.1 * torch.randn(WIDTH, 5, generator=generator), torch.randn(5, generator=generator)
    probe = LinearProbe(W, b, torch.zeros(WIDTH), torch.full((WIDTH,), 1.5), 0.5)
    return ReadNode(Readout(backbone, probe, tuple("abcde"), LAST, token), members)


def log_odds(node: ReadNode, x: torch.Tensor) -> float:
    p = node.readout.classifier.logits(x).softmax(-1)[MEMBERS].sum().item()
    return np.log(p / (1 - p))


@pytest.mark.parametrize("token", ["cls", "mean", "patch"])
def test_at_the_last_layer_the_parts_add_up(backbone, activations, token):
    sae = random_sae(2)
    node = read_node(backbone, "cls" if token == "cls" else "mean")
    parts = contributions(node, sae, LAST, token, activations[LAST])
    x = backbone.select_token(activations[LAST], LAST, token)[0]
    assert parts.total == pytest.approx(log_odds(node, x.mean(0)), abs=1e-4)
    assert parts.base == pytest.approx(log_odds(node, sae.b_dec.detach()), abs=1e-4)
    assert parts.base + parts.latents.sum() + parts.error == pytest.approx(parts.total, abs=1e-4)
    assert abs(parts.rest) < 1e-4 < abs(parts.total - parts.base)
    assert abs(parts.error) > 1e-3
    assert (parts.latents[(sae.encode(x) == 0).all(0).numpy()] == 0).all()


def test_for_a_linear_reading_each_part_is_what_the_latent_adds(backbone, activations):
    """Of two classes, the log-odds are a difference of logits: linear, with the same gradient everywhere."""
    node = read_node(backbone)
    probe = node.readout.classifier
    two = LinearProbe(probe.W[:, :2], probe.b[:2], probe.mean, probe.std, probe.temperature)
    pair = ReadNode(Readout(backbone, two, ("a", "b"), LAST), torch.tensor([True, False]))
    sae = random_sae(2)
    x = activations[LAST][0, 0]
    found = contributions(pair, sae, LAST, "cls", activations[LAST])
    direction = (two.W[:, 0] - two.W[:, 1]) / two.std / two.temperature
    with torch.no_grad():
        expected = sae.encode(x) * (sae.W_dec @ direction)
    np.testing.assert_allclose(found.latents, expected.numpy(), atol=1e-4)


def test_before_the_last_layer_they_are_of_first_order(backbone, activations):
    node, sae = read_node(backbone), random_sae(3)
    parts = contributions(node, sae, BEFORE, "cls", activations[BEFORE])
    with torch.no_grad():
        x = activations[BEFORE].clone()
        z = sae.encode(x[0, 0])
        latent = int(np.abs(parts.latents).argmax())
        step = 1e-2
        x[0, 0] += step * z[latent] * sae.W_dec[latent]
        after = log_odds(node, backbone.run_from(BEFORE, x, [LAST])[LAST][0, 0])
    assert (after - parts.total) / step == pytest.approx(parts.latents[latent], rel=0.05)
    assert abs(parts.rest) > 1e-3  # control: not exact


def test_it_works_where_sessions_run(backbone, activations):
    """In inference mode, on activations that were made there."""
    node, sae = read_node(backbone), random_sae(2)
    plain = contributions(node, sae, BEFORE, "cls", activations[BEFORE])
    with torch.inference_mode():
        inside = contributions(node, sae, BEFORE, "cls", backbone.run_pixels(random_pixels(), [BEFORE])[BEFORE])
    np.testing.assert_allclose(inside.latents, plain.latents, atol=1e-5)


def test_what_cannot_be_asked(backbone, activations):
    with pytest.raises(InputError, match="5 of 5 classes"):
        read_node(backbone, members=torch.ones(5, dtype=torch.bool))
    early = read_node(backbone)
    early = ReadNode(Readout(backbone, early.readout.classifier, tuple("abcde"), BEFORE), MEMBERS)
    with pytest.raises(InputError, match="before the classes are read"):
        contributions(early, random_sae(2), LAST, "cls", activations[LAST])


def test_the_rest_is_what_the_parts_leave_out():
    assert Contributions(np.array([1.0, 2.0]), 0.5, -1.0, 3.0).rest == pytest.approx(0.5)
