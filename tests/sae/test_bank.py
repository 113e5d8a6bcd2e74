"""The scale in which layers are trained: centred, scaled, partly whitened where wanted, and all of it folded again."""

from __future__ import annotations

import pytest
import torch

from hsae.sae.bank import RIDGE, new_sae, scale_of
from hsae.sae.config import SAEConfig


def correlated(n: int = 5000) -> torch.Tensor:
    return torch.randn(n, 6) @ torch.diag(torch.tensor([9.0, 3.0, 1.0, 1.0, 0.3, 0.1])) @ torch.randn(6, 6) + 4.0


@pytest.mark.parametrize("whiten", [0.0, 0.25, 0.5])
def test_normalised_activations_have_mean_0_and_mean_square_norm_d_in(whiten: float) -> None:
    x = correlated()
    normalised = scale_of(x.split(700), "block_01", whiten).normalise(x)
    assert normalised.mean(0).abs().max() < 1e-3
    assert normalised.pow(2).sum(1).mean().item() == pytest.approx(6, rel=1e-3)


@pytest.mark.parametrize("whiten", [0.25, 0.35])
def test_whitening_raises_the_covariance_to_a_power(whiten: float) -> None:
    """Variances v become v (v + ridge)^(-2 whiten), up to one factor, along the same axes."""
    x = correlated().double()
    normalised = scale_of([x], "block_01", whiten).normalise(x.float()).double()
    values, axes = torch.linalg.eigh(torch.cov(x.T, correction=0))
    along = (axes.T @ torch.cov(normalised.T, correction=0) @ axes).diagonal()
    expected = values * (values + RIDGE * values.mean()).pow(-2 * whiten)
    assert torch.allclose(along / along.sum(), expected / expected.sum(), rtol=1e-2)
    assert (along.max() / along.min()) < (values.max() / values.min()) / 4


@pytest.mark.parametrize("config", [
    SAEConfig("coarse_fine", groups=((8, 1), (12, 3))),
    SAEConfig("relu", d_sae=20, whiten=0.25),
    SAEConfig("gated", d_sae=20, whiten=0.4),
    SAEConfig("jumprelu", d_sae=20, k=3, whiten=0.25),
], ids=lambda config: config.activation)  # fmt: skip
def test_folding_the_whitening_is_exact(config: SAEConfig) -> None:
    x = correlated(400)
    scale = scale_of([x], "block_01", config.whitening)
    assert scale.there is not None
    sae = new_sae(config, 6).eval().requires_grad_(False)
    for tensor in sae.state_dict().values():
        tensor.copy_(0.4 * torch.randn_like(tensor))
    sae.normalise_decoder()
    mapped, z = sae(scale.normalise(x))
    expected = mapped @ scale.back * scale.scale + scale.mean
    scale.fold(sae)
    x_hat, folded_z = sae(x)
    assert torch.allclose(x_hat, expected, atol=2e-3)
    assert ((folded_z > 0) == (z > 0)).float().mean() > 0.999
    assert (z > 0).any()
    assert torch.allclose(sae.W_dec.norm(dim=1), torch.ones(20), atol=1e-5)


@pytest.mark.parametrize("activation", ["topk", "batchtopk"])
def test_what_would_choose_other_latents_afterwards_is_not_whitened(activation: str) -> None:
    with pytest.raises(Exception, match=r"whiten 0\.25"):
        SAEConfig(activation, whiten=0.25)
