"""Clusters as latents: a score is minus the distance to a centroid, of k-means or of a tree over its centroids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.cluster.hierarchy import linkage
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import normalize

from hsae.bench.contestant import Contestant
from hsae.bench.images import BenchLayer
from hsae.sae.bank import scale_of
from hsae.sae.start import centroids


def kmeans(layer: BenchLayer, n: int, seed: int, *, whiten: float = 0.0) -> Contestant:
    """n centroids of x, or of x after centring, partial whitening (C + 0.03 tr C / d I)^-whiten and unit length."""
    space = _space(layer, whiten)
    points = space(layer.x)
    found = centroids(points, _some(points, n, seed))
    return Contestant(lambda x: _nearness(space(x), found), n)


def ward(layer: BenchLayer, n: int, seed: int) -> Contestant:
    """Ward's tree over (n + 1) / 2 centroids: with its inner nodes n clusters, which fire on the images in them."""
    space = _space(layer, 0.25)
    points = space(layer.x)
    leaves = centroids(points, _some(points, (n + 1) // 2, seed))
    inside = _clusters(leaves)
    means = normalize(inside.float(), p=1, dim=1) @ leaves

    def fire(x: Tensor) -> csr_array:
        return csr_array(inside.T.float().numpy()[_nearness(space(x), leaves).argmax(-1).numpy()])

    return Contestant(lambda x: _nearness(space(x), means), len(means), fire)


def _space(layer: BenchLayer, whiten: float) -> Callable[[Tensor], Tensor]:
    if not whiten:
        return lambda x: x
    scale = scale_of([layer.x], layer.name, whiten)
    return lambda x: normalize(scale.normalise(x), dim=-1)


def _some(x: Tensor, n: int, seed: int) -> Tensor:
    """n of the points at random, where k-means starts."""
    return x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:n]]


def _nearness(x: Tensor, points: Tensor) -> Tensor:
    """Minus the squared distance, `[..., n]`."""
    return 2 * x @ points.T - points.pow(2).sum(-1) - x.pow(2).sum(-1, keepdim=True)


def _clusters(leaves: Tensor) -> Tensor:
    """Which of `leaves [n, d]` are in each cluster of Ward's tree, the leaves themselves first: bool `[2 n - 1, n]`."""
    n = len(leaves)
    inside = np.zeros((2 * n - 1, n), dtype=bool)
    inside[:n] = np.eye(n, dtype=bool)
    for number, (a, b) in enumerate(linkage(leaves.numpy(), "ward")[:, :2].astype(int)):
        inside[n + number] = inside[a] | inside[b]
    return torch.from_numpy(inside)
