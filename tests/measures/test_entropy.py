"""Label entropy: hand-computed, bounded, and HugoFry's form over the top images."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hsae.measures.entropy import ClassMassFitter, class_mass, entropy, top_label_entropy
from hsae.measures.top_images import TopImages, top_images
from tests.measures.conftest import random_latents

# Latents: one class only; two classes 3 : 1; dead; fires on an unlabelled image only.
HAND = csr_array(np.array([[5.0, 1, 0, 0], [0, 2, 0, 0], [0, 1, 0, 0], [9, 0, 0, 4]]))
LABELS = np.array([0, 1, 1, -1])


def test_mass_and_entropy_by_hand():
    mass = class_mass(HAND, LABELS, 3)
    assert mass.tolist() == [[5, 0, 0], [1, 3, 0], [0, 0, 0], [0, 0, 0]]
    expected = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    np.testing.assert_allclose(entropy(mass), [0, expected, np.nan, np.nan])
    assert not np.signbit(entropy(mass)[0])


@given(seed=st.integers(0, 50), cut=st.integers(0, 40))
def test_batches_add_up_and_scipy_agrees(seed, cut):
    z, labels = random_latents(seed), np.random.default_rng(seed).integers(-1, 5, 40)
    parts = ClassMassFitter(7, 5).update(z[:cut], labels[:cut]).update(z[cut:], labels[cut:]).compute()
    mass = class_mass(z, labels, 5)
    np.testing.assert_allclose(parts, mass, atol=1e-5)
    found = entropy(mass)
    alive = mass.sum(1) > 0
    np.testing.assert_allclose(found[alive], scipy.stats.entropy(mass[alive], axis=1), atol=1e-12)
    assert (found[alive] <= math.log(5) + 1e-12).all()
    assert np.isnan(found[~alive]).all()


def test_entropy_of_the_top_images_needs_enough_of_them():
    top = top_images(HAND, k=2)  # images 0 and 3 of latent 0; 1 and 0 (the earlier of two ties) of latent 1
    found = top_label_entropy(top, LABELS, 3, least=1)
    np.testing.assert_allclose(found, [0, -(2 / 3 * math.log(2 / 3) + 1 / 3 * math.log(1 / 3)), np.nan, np.nan])
    assert np.isnan(top_label_entropy(top, LABELS, 3, least=3)).all()


def test_an_even_top_20_has_entropy_ln_20():
    top = TopImages([np.arange(20)], [np.ones(20, np.float32)])
    assert top_label_entropy(top, np.arange(20), 20)[0] == pytest.approx(math.log(20))
