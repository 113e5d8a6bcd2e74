"""Matching pursuit: planted atoms come back in the order of their size, what is left shrinks, gradients are exact."""

import pytest
import torch

from hsae.sae.pursuit import MatchingPursuit


def test_orthogonal_atoms_come_back():
    generator = torch.Generator().manual_seed(0)
    atoms = torch.linalg.qr(torch.randn(12, 12, generator=generator)).Q
    truth = torch.zeros(5, 12)
    for row in truth:
        row[torch.randperm(12, generator=generator)[:3]] = torch.tensor([3.0, 2.0, 1.0])
    origin = torch.randn(12, generator=generator)
    pursuit = MatchingPursuit(atoms, origin, 3)
    x = truth @ atoms + origin
    torch.testing.assert_close(pursuit.encode(x), truth, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pursuit.choose(x)[1], torch.tensor([[3.0, 2.0, 1.0]]).expand(5, 3))
    assert pursuit.error(x).abs().max() < 1e-5
    assert MatchingPursuit(atoms, origin, 2).error(x).norm(dim=1).tolist() == pytest.approx([1.0] * 5, abs=1e-5)


def test_what_is_left_shrinks_and_is_what_the_latents_leave():
    generator = torch.Generator().manual_seed(1)
    rows, x = torch.randn(40, 8, generator=generator), torch.randn(30, 8, generator=generator)
    left = x.norm(dim=1)
    for k in (1, 2, 5, 20):
        pursuit = MatchingPursuit(rows, torch.zeros(8), k)
        error = pursuit.error(x)
        torch.testing.assert_close(error, x - pursuit.encode(x) @ pursuit.W_dec, atol=1e-5, rtol=1e-5)
        assert (error.norm(dim=1) <= left + 1e-6).all()
        left = error.norm(dim=1)
    assert pursuit.encode(x).min() >= 0


def test_two_steps_by_hand():
    """(3, 2): row (.6, .8) takes 3.4, which leaves (.96, -.72); then (1, 0) takes .96."""
    pursuit = MatchingPursuit(torch.tensor([[1.0, 0.0], [0.6, 0.8]]), torch.zeros(2), 2)
    x = torch.tensor([[3.0, 2.0]])
    assert pursuit.choose(x)[0].tolist() == [[1, 0]]  # 3.4 before 3
    assert pursuit.choose(x)[1][0].tolist() == pytest.approx([3.4, 0.96])  # 3 - 3.4 x 0.6
    torch.testing.assert_close(pursuit.error(x), torch.tensor([[0.0, 2 - 3.4 * 0.8]]))


def test_gradients_are_those_of_the_steps():
    generator = torch.Generator().manual_seed(2)
    rows, x = torch.randn(10, 6, generator=generator).double(), torch.randn(4, 6, generator=generator).double()
    pursuit = MatchingPursuit(rows, torch.zeros(6).double(), 3)
    step = 1e-6 * torch.randn(10, 6, generator=generator).double()
    loss = pursuit.error(x).square().sum()
    (gradient,) = torch.autograd.grad(loss, pursuit.W_dec)
    with torch.no_grad():
        pursuit.W_dec.add_(step)
        moved = pursuit.error(x).square().sum()
    assert (moved - loss).item() == pytest.approx((gradient * step).sum().item(), rel=1e-3)
