"""Where latents fire: planted maps whose coherence, place and norm are known, beside maps shuffled and at random."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from hsae.errors import InputError
from hsae.measures.places import MIN_FIRINGS, RISING, PlacesFitter, morans_i, pointing, share_inside
from hsae.report.places import place_kinds

GRID, N = (4, 5), 200


def moran_by_hand(z):
    """Moran's I with weights 1 between patches that share an edge, as the book has it."""
    cells = [(r, c) for r in range(GRID[0]) for c in range(GRID[1])]
    rest = z - z.mean()
    pairs = [
        (i, j) for i, a in enumerate(cells) for j, b in enumerate(cells) if abs(a[0] - b[0]) + abs(a[1] - b[1]) == 1
    ]
    return len(cells) / len(pairs) * sum(rest[i] * rest[j] for i, j in pairs) / (rest**2).sum()


def test_morans_i_is_the_books():
    maps = np.random.default_rng(0).random((3, 20, 2))
    found = morans_i(torch.from_numpy(maps), GRID)
    for image in range(3):
        for latent in range(2):
            assert found[image, latent].item() == pytest.approx(moran_by_hand(maps[image, :, latent]))


def test_a_spot_hangs_together_a_chessboard_does_not_and_chance_is_minus_one_over_the_others():
    row, column = torch.meshgrid(torch.arange(4), torch.arange(5), indexing="ij")
    halves, chess = (row < 2).flatten().double(), ((row + column) % 2).flatten().double()
    noise = torch.rand(5000, 20, generator=torch.Generator().manual_seed(0)).double()
    found = morans_i(torch.stack([halves, chess], 1)[None], GRID)[0]
    assert found[0] > 0.5
    assert found[1] == pytest.approx(-1)
    assert morans_i(noise[..., None], GRID).mean().item() == pytest.approx(-1 / 19, abs=0.01)
    assert morans_i(torch.full((1, 20, 1), 3.0), GRID).item() == 0


@pytest.fixture(scope="module")
def planted():
    """0 fires always at place 7, 1 anywhere, 2 at the one patch of high norm, 3 never, 4 everywhere alike."""
    generator = torch.Generator().manual_seed(0)
    z, norms = torch.zeros(N, 20, 5), torch.ones(N, 20)
    places, high = torch.randint(20, (2, N), generator=generator)
    images = torch.arange(N)
    norms[images, high] = 2.0
    z[:, 7, 0] = 1 + 0.1 * torch.rand(N, generator=generator)
    z[images, places, 1] = 1.0
    z[images, high, 2] = 1.0
    z[:, :, 4] = torch.rand(N, 1, generator=generator)
    return z, norms


def test_an_artefact_of_place_and_one_of_high_norms_are_told_from_a_latent_that_fires_anywhere(planted):
    z, norms = planted
    fitter = PlacesFitter(5, GRID)
    for part, norm in zip(z.split(64), norms.split(64), strict=True):
        fitter.update(part, norm)
    found = fitter.compute()
    assert found.place_variance[0] > 0.95
    assert found.place_variance[1] < 0.02
    assert found.place_variance[4] == pytest.approx(0, abs=1e-6)
    assert found.high_norm_share[2] == 1
    assert found.high_norm_share[1] == pytest.approx(1 / 20, abs=0.05)
    assert np.isnan([getattr(found, name)[3] for name in ("coherence", "place_variance", "high_norm_share")]).all()
    assert found.coherence[1] == pytest.approx(morans_i(z[..., 1:2], GRID).mean().item())
    kinds = place_kinds(pd.DataFrame(vars(found)).assign(object_precision=np.nan), 0.1)
    assert kinds.to_list() == ["one place", None, "high norm", None, None]


def test_precision_of_a_mask_is_the_share_of_firing_patches_inside():
    inside = torch.arange(400) < 100
    z = torch.zeros(400, 4)
    z[:50, 0] = 1.0  # inside only
    z[50:150, 1] = 1.0  # half and half
    z[: MIN_FIRINGS - 1, 2] = 1.0  # too few to say
    z[200:300, 3] = 1.0
    found = share_inside(z, inside)
    assert found[[0, 1, 3]].tolist() == [1.0, 0.5, 0.0]
    assert np.isnan(found[2])
    plain = pd.DataFrame({"place_variance": 0.0, "high_norm_share": 0.0, "object_precision": found})
    assert place_kinds(plain, chance=0.25).to_list() == ["object", None, None, "background"]


def test_latents_that_an_object_raises_point_at_it_and_those_that_were_there_before_do_not_count():
    """20 patches, the first 5 of an object; of 10 latents 5 rise with it: on it or, as a control, beside it."""
    generator = torch.Generator().manual_seed(0)
    inside = (torch.arange(20) < 5).repeat(30, 1)
    empty = torch.rand(30, 20, 10, generator=generator)
    empty[..., RISING:] *= 50  # strong anywhere, with the object and without

    def with_object(first, last):
        z = empty.clone()
        z[torch.arange(30), torch.randint(first, last, (30,), generator=generator), :RISING] = 9.0
        return z

    assert pointing(with_object(0, 5), empty, inside) == 1
    assert pointing(with_object(5, 20), empty, inside) == 0
    assert pointing(with_object(0, 20), empty, inside) == pytest.approx(5 / 20, abs=0.15)


def test_other_shapes_and_no_images_are_refused():
    with pytest.raises(InputError, match=r"\[images, 20, 5\]"):
        PlacesFitter(5, GRID).update(torch.zeros(2, 19, 5), torch.ones(2, 19))
    with pytest.raises(InputError, match="no images"):
        PlacesFitter(5, GRID).compute()
