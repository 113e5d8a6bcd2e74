"""Clusters as latents: a score is minus the distance to a centroid, of k-means or of a tree over its centroids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from scipy.cluster.hierarchy import linkage
from scipy.cluster.vq import kmeans2
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import normalize

from hsae.bench.contestant import Contestant
from hsae.bench.images import BenchLayer
from hsae.sae.bank import scale_of

ITERATIONS = 15


def kmeans(layer: BenchLayer, n: int, seed: int, *, whiten: float = 0.0) -> Contestant:
    """n centroids of x, or of x after centring, partial whitening (C + 0.03 tr C / d I)^-whiten and unit length."""
    space = _space(layer, whiten)
    centroids = _centroids(space(layer.x), n, seed)
    return Contestant(lambda x: _nearness(space(x), centroids), n)


def ward(layer: BenchLayer, n: int, seed: int) -> Contestant:
    """Ward's tree over (n + 1) / 2 centroids: with its inner nodes n clusters, which fire on the images in them."""
    space = _space(layer, 0.25)
    centroids = _centroids(space(layer.x), (n + 1) // 2, seed)
    inside = _clusters(centroids)
    means = normalize(inside.float(), p=1, dim=1) @ centroids

    def fire(x: Tensor) -> csr_array:
        return csr_array(inside.T.float().numpy()[_nearness(space(x), centroids).argmax(-1).numpy()])

    return Contestant(lambda x: _nearness(space(x), means), len(means), fire)


def _space(layer: BenchLayer, whiten: float) -> Callable[[Tensor], Tensor]:
    if not whiten:
        return lambda x: x
    scale = scale_of([layer.x], layer.name, whiten)
    return lambda x: normalize(scale.normalise(x), dim=-1)


def _centroids(x: Tensor, n: int, seed: int) -> Tensor:
    """Those of k-means from n random points; a cluster that loses its points keeps its centroid."""
    first = x[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))[:n]]
    found, _ = kmeans2(x.numpy(), first.numpy(), iter=ITERATIONS, minit="matrix", missing="warn")
    return torch.from_numpy(found).float()


def _nearness(x: Tensor, centroids: Tensor) -> Tensor:
    """Minus the squared distance, `[..., n]`."""
    return 2 * x @ centroids.T - centroids.pow(2).sum(-1) - x.pow(2).sum(-1, keepdim=True)


def _clusters(centroids: Tensor) -> Tensor:
    """Which centroids are in each cluster of Ward's tree, the centroids themselves first: bool `[2 n - 1, n]`."""
    n = len(centroids)
    inside = np.zeros((2 * n - 1, n), dtype=bool)
    inside[:n] = np.eye(n, dtype=bool)
    for number, (a, b) in enumerate(linkage(centroids.numpy(), "ward")[:, :2].astype(int)):
        inside[n + number] = inside[a] | inside[b]
    return torch.from_numpy(inside)
