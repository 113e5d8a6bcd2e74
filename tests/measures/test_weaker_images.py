"""Weaker images: around the median and at the end of a latent's firings, as a full sort has them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hsae.measures.weaker_images import SHOWN, WeakerImages, weaker_images
from tests.measures.conftest import random_latents


def test_by_hand():
    z = np.zeros((40, 2))
    z[:21, 0] = np.arange(100, 79, -1)  # image i fires with 100 - i
    middle, low = [(i, 100 - i) for i in range(9, 13)], [(i, 100 - i) for i in range(17, 21)]
    assert weaker_images(csr_array(z)) == [WeakerImages(tuple(middle), tuple(low)), WeakerImages()]


@given(seed=st.integers(0, 50), top=st.integers(1, 12))
def test_none_is_a_top_image_and_the_low_ones_are_the_weakest(seed, top):
    z = random_latents(seed)
    dense = z.toarray()
    for latent, found in enumerate(weaker_images(z, top)):
        ranked = sorted((-float(value), image) for image, value in enumerate(dense[:, latent]) if value > 0)
        order = [image for _, image in ranked]
        low, middle = [image for image, _ in found.low], [image for image, _ in found.middle]
        assert low == order[top:][-SHOWN:]
        assert set(middle) <= set(order[top:]) - set(low)
        assert len(middle) == max(0, min(SHOWN, len(order) - top - SHOWN))
        assert all(share == round(100 * ranked[order.index(image)][0] / ranked[0][0]) for image, share in found.low)


def test_numbers_of_images_become_rows():
    found = WeakerImages(((0, 50),), ((2, 1),)).renumbered([7, 8, 9])
    assert found == WeakerImages(((7, 50),), ((9, 1),))
    assert found.images == [7, 9]
