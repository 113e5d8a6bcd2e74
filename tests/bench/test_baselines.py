"""Baselines find what they should: clusters, their tree, classes; and random directions nothing."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from hsae.bench.baselines import BASELINES
from hsae.bench.clusters import kmeans, ward
from hsae.bench.grid import Grid, read_grid

CENTRES = torch.tensor([[9.0, 0, 0], [9, 3, 0], [-9, 0, 5], [-9, 0, 2]])


@pytest.fixture
def layer():
    """Four clusters, which are two pairs; what a baseline without classes reads of a layer."""
    torch.manual_seed(0)
    which = torch.arange(400) % 4
    return SimpleNamespace(x=CENTRES[which] + 0.2 * torch.randn(400, 3), name="block_01", which=which)


def test_kmeans_is_nearest_at_its_own_points(layer):
    found = kmeans(layer, 40, 0)
    nearest = found.score(layer.x).argmax(-1)
    pure = [len(layer.which[nearest == cluster].unique()) <= 1 for cluster in range(40)]
    assert all(pure)
    brute = torch.cdist(layer.x, layer.x[:1]).squeeze()
    assert found.score(layer.x).shape == (400, 40)
    assert (found.score(layer.x) <= 1e-3).all()  # minus a squared distance
    assert brute.max() > 10


def test_the_tree_fires_along_one_path_and_has_the_pairs(layer):
    found = ward(layer, 31, 0)
    z = found.fire(layer.x).toarray()
    assert found.n == 31
    assert z[:, -1].all()  # the root
    assert (z[:, :16].sum(axis=1) == 1).all()  # one leaf
    pairs = (layer.which >= 2).numpy()
    assert any((column == pairs).all() or (column == ~pairs).all() for column in z.T.astype(bool))


def test_directions_have_their_numbers(layer):
    for name, n in {"random": 7, "neurons": 6, "principal axes": 6}.items():
        found = BASELINES[name].make(layer, 7, 0)
        assert found.n == n
        assert found.score(layer.x).shape == (400, n)
    seeds = [BASELINES["random"].make(layer, 7, seed).score(layer.x) for seed in (0, 0, 1)]
    assert torch.equal(seeds[0], seeds[1])
    assert not torch.equal(seeds[0], seeds[2])


def test_sized_and_seeded_baselines_come_for_each_width_and_seed():
    grid = Grid({"topk": {"activation": "topk"}}, d_sae=(32, 64), L0=(4,), seeds=(0, 1))
    rows = [(entry.n, entry.seed) for entry in grid.entries("x") if entry.name == "k-means"]
    assert rows == [(32, 0), (32, 1), (64, 0), (64, 1)]
    assert [(e.n, e.seed) for e in grid.entries("x") if e.name == "neurons"] == [(0, 0)]
    assert {entry.name for entry in grid.elsewhere("twin").entries("x")} == {"topk, twin"}


def test_the_grid_of_the_results_is_one():
    grid = read_grid(Path(__file__).parents[2] / "training/grids/block_11.yaml")
    sizes = {entry.name: entry.n for entry in grid.entries("x") if entry.sae}
    assert {name for name, n in sizes.items() if n != 1536} == {"topk, 3072", "coarse and fine, 3072"}
