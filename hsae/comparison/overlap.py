"""Share of the strongest images that two latents have in common."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.measures.top_images import TopImages


def top_sets(top: TopImages, n_images: int, k: int) -> csr_array:
    """T_k of every latent as ones in `[d_sae, n_images]`; fewer than k where a latent fires on fewer images."""
    if not 1 <= k <= n_images:
        raise InputError(f"the top {k} of {n_images} images", "at least 1 and at most as many as there are images")
    images = [indices[:k] for indices in top.images]
    starts = np.concatenate([[0], np.cumsum([len(indices) for indices in images])])
    columns = np.concatenate([*images, np.zeros(0, np.int64)])
    return csr_array((np.ones(len(columns), np.float32), columns, starts), shape=(len(images), n_images))


def overlaps(a: csr_array, b: csr_array, k: int) -> NDArray[np.float32]:
    """o_k(f, g) = |T_k(f) & T_k(g)| / k of all pairs, `[d_a, d_b]` in [0, 1], from `top_sets` of the same images.

    Top-k image overlap of Zhu and Graves, "Understanding and comparing learned features in CLIP models via SAEs".
    """
    if a.shape[1] != b.shape[1]:
        raise InputError(f"top images among {a.shape[1]} and among {b.shape[1]}", "the same images for both")
    return (a @ b.T).toarray() / np.float32(k)


def chance_overlap(k: int, n_images: int) -> float:
    """Expected overlap of two sets of k random images: k / N."""
    return k / n_images


def chance_best_overlap(k: int, n_images: int, n_latents: int) -> float:
    """Expected best overlap of k random images with n_latents independent sets of k random images.

    E[max] / k = sum_{x >= 1} (1 - P(X < x)^n) / k with X hypergeometric. The top images of real latents overlap with
    each other, so that shuffled images give less than this.
    """
    from scipy.stats import hypergeom

    below = hypergeom(n_images, k, k).cdf(np.arange(k))
    return float((1 - below**n_latents).sum() / k)
