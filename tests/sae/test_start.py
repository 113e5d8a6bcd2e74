"""The coarse group starts at the clusters of the data, everything else at single points of it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from hsae.sae.bank import new_sae
from hsae.sae.config import SAEConfig
from hsae.sae.model import SparseAutoencoder
from hsae.sae.start import centroids, initialise
from hsae.sae.variants import VARIANTS

CLUSTERS, COARSE = 8, 16


def clustered(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Points around unit centres, as far from them as those are from 0; centres `[8, 32]`."""
    g = torch.Generator().manual_seed(seed)
    centres = normalize(torch.randn(CLUSTERS, 32, generator=g), dim=1)
    own = torch.randint(CLUSTERS, (2000,), generator=g)
    return centres[own] + torch.randn(2000, 32, generator=g) / 32**0.5, centres


def started(activation: str, x: Tensor, **settings: object) -> SparseAutoencoder:
    sae = new_sae(SAEConfig(activation, **settings), 32)
    initialise(sae, x, torch.Generator().manual_seed(1))
    return sae


def nearness(rows: Tensor, centres: Tensor) -> Tensor:
    return (normalize(rows, dim=1) @ centres.T).amax(1)


def test_the_coarse_group_starts_at_clusters_and_the_fine_one_at_points() -> None:
    x, centres = clustered()
    sae = started("coarse_fine", x, groups=((COARSE, 1), (COARSE, 3)))
    coarse, fine = sae.W_dec[:COARSE], sae.W_dec[COARSE:]
    assert nearness(coarse, centres).median() > 0.9
    assert nearness(fine, centres).median() < 0.8, "control: points are not centres"
    assert torch.allclose(normalize(sae.W_enc.T, dim=1), sae.W_dec, atol=1e-5)


@pytest.mark.parametrize("groups", [((COARSE, 2), (COARSE, 2)), None])
def test_latents_that_fire_together_start_at_points(groups: object) -> None:
    x, centres = clustered()
    settings = {"groups": groups} if groups else {"d_sae": 2 * COARSE, "k": 4}
    sae = started("coarse_fine" if groups else "topk", x, **settings)
    assert nearness(sae.W_dec, centres).median() < 0.8


def test_more_clusters_than_points_leave_finite_rows() -> None:
    x, _ = clustered()
    assert torch.isfinite(centroids(x[:5], x[torch.arange(12) % 5])).all()


def test_the_start_is_the_same_for_the_same_seed() -> None:
    x, _ = clustered()
    first, second = (started("coarse_fine", x, groups=((COARSE, 1), (COARSE, 3))) for _ in range(2))
    assert torch.equal(first.W_dec, second.W_dec)
    assert [name for name, variant in VARIANTS.items() if variant.clusters] == ["coarse_fine"]
