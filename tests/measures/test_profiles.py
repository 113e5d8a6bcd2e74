"""A latent's profile: every firing in one bin, the classes it fires for first."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hsae.measures.profiles import BINS, TOP, Profile, latent_profiles


def test_by_hand():
    z = csr_array(np.array([[0.0, 12.0], [0.0, 6.0], [0.0, 0.5], [0.0, 0.4]]))
    silent, profile = latent_profiles(z, np.array([[0.0, 0.0, np.nan], [0.25, 0.996, np.nan]]))
    assert silent is None
    assert profile == Profile((2, 0, 0, 0, 0, 1, 0, 0, 0, 1), ((1, 100), (0, 25)))


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**31))
def test_every_image_is_counted_once_and_classes_fall(n_images, n_classes, seed):
    random = np.random.default_rng(seed)
    z = random.random((n_images, 3)) * (random.random((n_images, 3)) < 0.4)
    rates = random.random((3, n_classes))
    for latent, profile in enumerate(latent_profiles(csr_array(z), rates)):
        fires = int((z[:, latent] > 0).sum())
        if not fires:
            assert profile is None
            continue
        assert len(profile.counts) == BINS
        assert sum(profile.counts) == fires
        assert profile.counts[-1] >= 1  # the maximum itself
        percents = [percent for _, percent in profile.classes]
        assert percents == sorted(percents, reverse=True)
        assert len(percents) == min(TOP, n_classes)
        assert percents == [round(100 * rates[latent, column]) for column, _ in profile.classes]
