"""Absorption: a general latent does not fire where a special one does. Hard and soft form; both are our own.

The thresholds of the hard form are those of SAEBench's absorption score, whose cosine of 0.1 was chosen for models of
2 304 dimensions, where it is 4.8 standard deviations of that of random directions; the score is not.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.hierarchy.lch import MISSING
from hsae.measures.wordnet.tree import FeatureTree

LEAST_SHARE = 0.4
_DEVIATIONS = 4.8

Rows = NDArray[np.float64]


def least_cosine(d_in: int) -> float:
    """4.8 / sqrt(d_in): the cosine from which on a latent points along a probe, 0.1 in 2 304 dimensions."""
    return _DEVIATIONS / math.sqrt(d_in)


def hard_absorption(
    z: csr_array,
    cosines: Rows,
    latent: NDArray[np.int64],
    yes: NDArray[np.bool_],
    under: NDArray[np.bool_],
    least: float,
) -> Rows:
    """For each node, the share of its images on which its latent is 0 and another latent fires in its place.

    z `[n_images, n_latents]`; cosines `[n_latents, n_nodes]` of decoder rows with the node's probe; latent `[n_nodes]`;
    yes and under `[n_images, n_nodes]`: the probe says yes, the image is under the node. An image counts when the probe
    says yes, the latent is 0, and another with cosine >= `least` supplies >= 40 % of sum_q z_q cos_q. NaN for nodes
    without images or latent (MISSING).
    """
    if cosines.shape != (z.shape[1], len(latent)) or yes.shape != under.shape or yes.shape != (z.shape[0], len(latent)):
        raise InputError(
            f"latents {z.shape}, cosines {cosines.shape}, yes {yes.shape}, under {under.shape}",
            "[n, f], [f, m], [n, m] and [n, m] for m nodes",
        )
    images, supplies = under.sum(axis=0), np.where(cosines >= least, cosines, 0)
    shares = np.full(len(latent), np.nan)
    for node in np.flatnonzero((images > 0) & (latent != MISSING)):
        rows = z[yes[:, node] & under[:, node]]
        silent = rows[rows[:, [latent[node]]].toarray()[:, 0] == 0]
        shares[node] = _n_absorbed(silent, cosines[:, node], supplies[:, node]) / images[node]
    return shares


def soft_absorption(z: csr_array, tree: FeatureTree) -> Rows:
    """s(p, c) = 1 - E[z_p | c fires] / E[z_p | p fires, no child fires] of each reduced edge, clipped to [0, 1].

    0 is none, 1 is the hard form. NaN for a parent that never fires without a child. A child's images may just be
    weaker examples of the parent: compare with `matched_soft_absorption`.
    """
    return matched_soft_absorption(z, tree, np.zeros(z.shape[0], np.int64))


def matched_soft_absorption(z: csr_array, tree: FeatureTree, labels: NDArray[np.int64]) -> Rows:
    """The same with both means taken class by class, weighted by the child's images: the control for soft absorption.

    Only classes in which both kinds of image occur count; NaN without such a class.
    """
    parent, child = tree.edges
    columns = z.tocsc()
    shape = (len(labels), labels.max(initial=0) + 1)
    one_hot = csr_array((np.ones(len(labels)), (np.arange(len(labels)), labels)), shape=shape)
    absorption = np.full(len(parent), np.nan)
    for p in np.unique(parent):
        edges = np.flatnonzero(parent == p)
        value = columns[:, [p]].toarray()[:, 0]
        fires = (columns[:, child[edges]] > 0).astype(float).toarray()
        alone = (value > 0) & ~fires.any(axis=1)
        n_alone, sum_alone = one_hot.T @ alone.astype(float), one_hot.T @ (alone * value)
        n_with, sum_with = one_hot.T @ fires, one_hot.T @ (fires * value[:, None])
        absorption[edges] = [_soft(n_alone, sum_alone, n_with[:, i], sum_with[:, i]) for i in range(len(edges))]
    return absorption


def _soft(n_alone: Rows, sum_alone: Rows, n_with: Rows, sum_with: Rows) -> float:
    both = (n_alone > 0) & (n_with > 0)
    expected = (n_with[both] * sum_alone[both] / n_alone[both]).sum()
    return float(np.clip(1 - sum_with[both].sum() / expected, 0, 1)) if expected > 0 else float("nan")


def _n_absorbed(rows: csr_array, cosine: Rows, supplies: Rows) -> int:
    """Of the images `rows`, those on which one latent supplies enough; `supplies`: cosines, 0 where they are small."""
    total = rows @ cosine
    largest = rows.multiply(supplies[None]).max(axis=1).toarray().ravel() if rows.shape[0] else np.zeros(0)
    return int(((total > 0) & (largest >= LEAST_SHARE * total)).sum())
