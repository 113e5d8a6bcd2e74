"""Reconstruction: perfect is 0, the mean is 1, batches equal the whole, and nonsense is refused."""

import math

import pytest
import torch

from hsae.errors import InputError
from hsae.measures.reconstruction import ReconstructionFitter, reconstruction
from tests.tiny_models import random_sae


def measured(x, x_hat, z=None, mean=None, cuts=(1000,)):
    z = torch.zeros(len(x), 4) if z is None else z
    fitter = ReconstructionFitter(x.mean(0) if mean is None else mean, z.shape[1])
    for part in zip(*(t.tensor_split(cuts) for t in (x, x_hat, z)), strict=True):
        fitter.update(*part)
    return fitter.compute()


def test_hand_computed_values():
    x, x_hat = torch.tensor([[1.0, 0], [3, 0]]), torch.tensor([[1.0, 1], [4, 0]])
    z = torch.tensor([[1.0, 0, 2, 0], [1, 0, 0, 0]])
    found = measured(x, x_hat, z)
    assert (found.mse, found.var, found.fvu) == (0.5, 0.5, 1.0)
    assert found.cosine == pytest.approx((1 / math.sqrt(2) + 1) / 2)
    assert (found.l0, found.dead) == (1.5, 0.5)


def test_the_mean_predictor_has_fvu_1_and_a_perfect_one_0():
    x = torch.randn(100, 6) + 5
    assert measured(x, x.mean(0).expand_as(x)).fvu == pytest.approx(1)
    assert measured(x, x).fvu == 0
    assert measured(x, torch.zeros_like(x)).fvu > 10  # zero is not the mean


def test_batches_equal_the_whole():
    x, x_hat, z = torch.randn(30, 6), torch.randn(30, 6), torch.relu(torch.randn(30, 4) - 1)
    whole, parts = measured(x, x_hat, z), measured(x, x_hat, z, cuts=(4, 4, 17))
    for name in ("mse", "var", "fvu", "cosine", "l0", "dead"):
        assert getattr(parts, name) == pytest.approx(getattr(whole, name))


def test_an_sae_is_measured_on_its_own_output():
    sae, x = random_sae(), torch.randn(50, 32)
    with torch.no_grad():
        x_hat, z = sae(x)
    one_shot = reconstruction(sae, x, x.mean(0), batch_size=7)
    assert one_shot.mse == pytest.approx((x - x_hat).pow(2).mean().item(), rel=1e-5)
    assert one_shot.l0 == pytest.approx((z > 0).sum(1).float().mean().item())


def test_a_constant_layer_has_no_fvu_and_no_image_no_result():
    x = torch.ones(5, 3)
    assert math.isnan(measured(x, x).fvu)
    with pytest.raises(InputError, match="no tokens"):
        ReconstructionFitter(torch.zeros(3), 4).compute()


def test_values_that_are_not_finite_are_refused():
    x = torch.randn(5, 3)
    with pytest.raises(InputError, match="not finite"):
        measured(x, torch.where(x > 0, torch.nan, x))
