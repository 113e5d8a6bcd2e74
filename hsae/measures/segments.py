"""Segmentations of one picture: how they are cut from its tokens, and how far one lies inside another."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import kmeans2
from torch import Tensor
from torch.nn.functional import normalize

Segments = NDArray[np.int64]
"""The segment of every place `[places]`, any whole numbers."""
ITERATIONS, SHUFFLES = 20, 20


def cut(x: Tensor, n: int, seed: int = 0) -> Segments:
    """k-means of tokens `[places, d_in]` at unit length into `n` segments, some perhaps empty.

    Segmentations of several numbers are cut anew each: cuts of one tree would nest whatever the tokens are.
    """
    points = normalize(x.detach().cpu().double(), dim=-1).numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty clusters
        return kmeans2(points, n, ITERATIONS, minit="++", rng=np.random.default_rng((seed, n)))[1].astype(np.int64)


def inside(fine: Segments, coarse: Segments) -> float:
    """Share of places whose coarse segment holds most of their fine one, in (0, 1]: 1 where each fine one is in one.

    With the true objects as the coarse segments, the purity of the fine ones.
    """
    (_, fine), (_, coarse) = (np.unique(each, return_inverse=True) for each in (fine, coarse))
    counts = np.zeros((fine.max() + 1, coarse.max() + 1), dtype=np.int64)
    np.add.at(counts, (fine, coarse), 1)
    return float(counts.max(1).sum() / len(fine))


def inside_by_chance(fine: Segments, coarse: Segments, seed: int = 0) -> float:
    """Mean of `inside` over random segmentations of the same sizes as `fine`."""
    random = np.random.default_rng(seed)
    return float(np.mean([inside(random.permutation(fine), coarse) for _ in range(SHUFFLES)]))
