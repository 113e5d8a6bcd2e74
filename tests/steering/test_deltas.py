from __future__ import annotations

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsae.steering.deltas import edit_delta
from hsae.steering.edits import Op
from tests.tiny_models import colour_sae, random_sae

D_SAE = 24
REFS = np.linspace(0.5, 2.0, D_SAE)


def naive(sae, x, op):
    """decode(z') + error, with the full decode that hsae never makes."""
    z = sae.encode(x)
    error = x - sae.decode(z)
    ref = float(REFS[op.latent])
    changed = {
        "add": z[..., op.latent] + op.amount * ref,
        "scale": z[..., op.latent] * (1 + op.amount),
        "set": torch.full_like(z[..., op.latent], op.amount * ref),
        "off": torch.zeros_like(z[..., op.latent]),
    }[op.mode]
    z = z.clone()
    z[..., op.latent] = changed.clamp_min(0)
    return sae.decode(z) + error


@given(
    st.integers(0, D_SAE - 1),
    st.sampled_from(
        [("add", -3.0), ("add", 2.5), ("scale", -0.5), ("scale", 1.0), ("set", 1.5), ("set", 0.0), ("off", 0)]
    ),
    st.sampled_from(["relu", "topk"]),
)
@settings(deadline=None)
def test_an_edit_is_a_decode_with_the_error_kept(latent, change, activation):
    sae, x = random_sae(activation=activation), torch.randn(5, 32, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        delta, before, after = edit_delta(x, [Op(latent, *change)], sae, REFS)
        torch.testing.assert_close(x + delta, naive(sae, x, Op(latent, *change)), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(before[:, 0], sae.encode(x)[:, latent])
    assert after.min() >= 0


def test_latents_are_what_the_modes_say():
    sae, x = colour_sae(), torch.tensor([[2.0, 0.5, 0.0]])
    ops = [Op(0, "scale", 0.5), Op(1, "add", -3), Op(2, "set", 2)]
    with torch.no_grad():
        delta, before, after = edit_delta(x, ops, sae, np.array([10.0, 1.0, 4.0]))
    assert before.tolist() == [[2.0, 0.5, 0.0]]
    assert after.tolist() == [[3.0, 0.0, 8.0]]
    assert delta.tolist() == [[1.0, -0.5, 8.0]]
