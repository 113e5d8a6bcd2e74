"""The form without pairs equals the loop over pairs, whole or in batches."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.measures.monosemanticity import MonosemanticityFitter, monosemanticity
from tests.measures.conftest import random_latents


def over_pairs(w: np.ndarray, e: np.ndarray) -> float:
    """Pach et al.'s definition, pair by pair."""
    span = w.max() - w.min()
    w = (w - w.min()) / span if span else np.zeros_like(w)
    e = e / np.linalg.norm(e, axis=1, keepdims=True)
    above = below = 0.0
    for i in range(len(w)):
        for j in range(i + 1, len(w)):
            above += w[i] * w[j] * (e[i] @ e[j])
            below += w[i] * w[j]
    return above / below if below else np.nan


@pytest.mark.slow
@given(seed=st.integers(0, 30), cut=st.integers(0, 40))
def test_exact_form_equals_the_loop_over_pairs(seed, cut):
    z = random_latents(seed)
    e = torch.randn(40, 5, generator=torch.Generator().manual_seed(seed)) + 0.5
    expected = [over_pairs(w.astype(float), e.double().numpy()) for w in z.toarray().T]
    batches = MonosemanticityFitter(7, 5).update(z[:cut], e[:cut]).update(z[cut:], e[cut:]).compute()
    for found in (monosemanticity(z, e), batches):
        np.testing.assert_allclose(found.score, expected, atol=1e-7)
        assert found.chance == pytest.approx(over_pairs(np.append(np.ones(40), 0), np.vstack([e, e[:1]])))


def test_hand_computed_values():
    e = torch.tensor([[2.0, 0], [1, 0], [0, 3], [-1, 0]])
    z = csr_array(np.array([[1.0, 1, 1, 0, 4], [1, 0, 1, 0, 0], [0, 1, 2, 0, 0], [0, 0, 0, 0, 0]]))
    same, right_angle, mixed, dead, single = monosemanticity(z, e).score
    assert same == pytest.approx(1)
    assert right_angle == pytest.approx(0)
    assert mixed == pytest.approx(1 / 5)  # pairs weigh 1, 2, 2; only the first has a cosine, 1
    assert np.isnan(dead)
    assert np.isnan(single)


def test_a_constant_latent_weighs_nothing_once_scaled():
    z = csr_array(np.full((6, 1), 0.3))
    assert np.isnan(monosemanticity(z, torch.randn(6, 3)).score[0])


def test_no_image_and_one_image_have_no_pairs():
    assert np.isnan(MonosemanticityFitter(2, 3).compute().score).all()
    one = monosemanticity(csr_array(np.array([[1.0, 0.0]])), torch.ones(1, 3))
    assert np.isnan(one.score).all()
    assert np.isnan(one.chance)


@pytest.mark.parametrize("bad", [torch.zeros(40, 5), torch.full((40, 5), float("nan")), torch.ones(39, 5)])
def test_embeddings_without_direction_or_image_are_refused(z, bad):
    with pytest.raises(InputError, match="embedding"):
        MonosemanticityFitter(7, 5).update(z, bad)
