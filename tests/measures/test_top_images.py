"""Top images: strongest first, ties in image order, one pass equals many batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.measures.top_images import TopImagesFitter, top_images
from tests.measures.conftest import random_latents


def test_strongest_first_and_ties_in_the_order_of_the_images():
    z = csr_array(np.array([[1.0, 0], [3, 0], [0, 0], [3, 0], [2, 0]]))
    found = top_images(z, k=3)
    assert found.images[0].tolist() == [1, 3, 4]
    assert found.activations[0].tolist() == [3, 3, 2]
    assert found.images[1].tolist() == found.activations[1].tolist() == []


@given(seed=st.integers(0, 50), k=st.integers(1, 12), cuts=st.lists(st.integers(0, 40), max_size=3))
def test_batches_give_what_a_full_sort_gives(seed, k, cuts):
    z = random_latents(seed)
    fitter = TopImagesFitter(7, k)
    for rows in np.split(np.arange(40), sorted(cuts)):
        fitter.update(z[rows])
    found, dense = fitter.compute(), z.toarray()
    assert len(found.images) == 7
    for latent in range(7):
        best = sorted((-value, image) for image, value in enumerate(dense[:, latent]) if value > 0)[:k]
        assert found.images[latent].tolist() == [image for _, image in best]
        assert found.activations[latent].tolist() == [-value for value, _ in best]


def test_nothing_seen_and_one_latent_are_fine():
    assert [len(images) for images in TopImagesFitter(3).compute().images] == [0, 0, 0]
    assert top_images(csr_array(np.array([[2.0]]))).images[0].tolist() == [0]
    with pytest.raises(InputError, match="at least 1"):
        TopImagesFitter(3, k=0)
