from __future__ import annotations

import pytest
import torch

from hsae.errors import InputError
from hsae.measures.probes import LinearProbe
from hsae.relevancy.targets import ClassTarget, LatentTarget
from tests.tiny_models import random_sae


@pytest.fixture
def x():
    """2 images, a class token, a register and 4 patches."""
    return torch.randn(2, 6, 32)


@pytest.fixture
def sae():
    return random_sae(activation="topk", k=1)


def by_hand(sae, vector, latent):
    return (vector - sae.b_dec) @ sae.W_enc[:, latent] + sae.b_enc[latent]


def read(sae, x, latent, token):
    return LatentTarget(sae, latent, token=token, n_prefix=2)(x)


@pytest.mark.parametrize("latent", [0, 23])
def test_latent_is_read_at_the_token_asked_for(sae, x, latent):
    torch.testing.assert_close(read(sae, x, latent, "cls"), by_hand(sae, x[:, 0], latent))
    torch.testing.assert_close(read(sae, x, latent, 3), by_hand(sae, x[:, 5], latent))
    torch.testing.assert_close(read(sae, x, latent, "mean"), by_hand(sae, x[:, 2:].mean(1), latent))
    torch.testing.assert_close(read(sae, x, latent, "patch"), by_hand(sae, x[:, 2:], latent).amax(1))


def test_a_silent_latent_still_has_a_gradient(sae, x):
    silent = int((sae.encode(x[:1, 0]) == 0).nonzero()[0, 1])
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(read(sae, x, silent, "cls").sum(), x)
    torch.testing.assert_close(gradient[0, 0], sae.W_enc[:, silent])
    assert not gradient[:, 1:].any()


def test_weights_say_which_token_counts(sae, x):
    target = LatentTarget(sae, 0, token="mean", n_prefix=2)
    torch.testing.assert_close(target.weights(x), torch.tensor([[0, 0, 0.25, 0.25, 0.25, 0.25]]).expand(2, 6))
    strongest = by_hand(sae, x[:, 2:], 0).argmax(1) + 2
    picked = LatentTarget(sae, 0, token="patch", n_prefix=2).weights(x)
    assert picked.argmax(1).tolist() == strongest.tolist()
    assert picked.sum(1).tolist() == [1, 1]


def test_class_target_is_the_probes_logit(x):
    probe = LinearProbe(torch.randn(32, 5), torch.randn(5), torch.randn(32), torch.rand(32) + 0.5)
    torch.testing.assert_close(ClassTarget(probe, 3)(x), probe.logits(x[:, 0])[:, 3])


@pytest.mark.parametrize("latent", [-1, 24])
def test_unknown_latents_are_refused(sae, latent):
    with pytest.raises(InputError, match="0 to 23"):
        LatentTarget(sae, latent)


@pytest.mark.parametrize("index", [-1, 2])
def test_unknown_classes_are_refused(index):
    probe = LinearProbe(torch.zeros(3, 2), torch.zeros(2), torch.zeros(3), torch.ones(3))
    with pytest.raises(InputError, match="0 to 1"):
        ClassTarget(probe, index)


def test_named_patches_count_equally(sae, x):
    one, other = read(sae, x, 3, 1), read(sae, x, 3, 2)
    torch.testing.assert_close(read(sae, x, 3, (1, 2)), (one + other) / 2)
    torch.testing.assert_close(read(sae, x, 3, (2,)), other)


@pytest.mark.parametrize("token", [-1, 4, "last", True, 1.0, (), (0, 4), (1, 1)])
def test_unknown_tokens_are_refused(sae, x, token):
    with pytest.raises(InputError, match="0 to 3"):
        read(sae, x, 0, token)


def test_a_layer_without_class_token_has_no_cls(sae, x):
    with pytest.raises(InputError, match="mean"):
        LatentTarget(sae, 0, token="cls", n_prefix=0)(x)
