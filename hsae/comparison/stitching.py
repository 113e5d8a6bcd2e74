"""Stitching: a linear map from the latents of one SAE to those of another, scored on images that did not fit it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_array

from hsae.errors import InputError

RIDGES = (1e-6, 1e-2, 1.0)
"""Penalties tried, in units of the mean variance of A's latents."""
_COLUMNS = 1024  # latents of B predicted at once


class Stitching:
    """Ridge regression from the latents of A to those of any B on the same images.

    Half of the images fit the map, a quarter chooses the penalty (for each latent of B), the last quarter scores it. No
    more is kept in memory than one Cholesky factor `[d_a, d_a]` for each penalty.
    """

    def __init__(self, a: csr_array, seed: int = 0) -> None:
        if a.shape[0] < 8:
            raise InputError(f"{a.shape[0]} images to stitch on", "at least 8")
        self._rows = np.split(np.random.default_rng(seed).permutation(a.shape[0]), _cuts(a.shape[0]))
        living = np.flatnonzero(np.bincount(a[self._rows[0]].indices, minlength=a.shape[1]))
        self._parts = [a[rows][:, living].astype(np.float64) for rows in self._rows]
        fit = self._parts[0]
        self._mean = np.asarray(fit.mean(axis=0))
        gram = (fit.T @ fit).toarray() / fit.shape[0] - np.outer(self._mean, self._mean)
        unit = max(float(np.trace(gram)) / max(1, len(gram)), np.finfo(float).tiny)
        self._factors = [cho_factor(gram + ridge * unit * np.eye(len(gram))) for ridge in RIDGES]

    def r2(self, b: csr_array) -> NDArray[np.float64]:
        """R^2 = 1 - squared error / variance of every latent of `b [n_images, d_b]` on the scoring images, `[d_b]`.

        1 is perfect, 0 no better than the mean of those images; NaN for a latent that is the same on all of them.
        """
        if b.shape[0] != sum(len(rows) for rows in self._rows):
            raise InputError(f"{b.shape[0]} images", "the images of the other SAE")
        columns = [slice(start, start + _COLUMNS) for start in range(0, b.shape[1], _COLUMNS)]
        return np.concatenate([self._r2_of(b[:, part]) for part in columns]) if columns else np.zeros(0)

    def _r2_of(self, b: csr_array) -> NDArray[np.float64]:
        fit, choose, score = (b[rows].astype(np.float64) for rows in self._rows)
        mean = np.asarray(fit.mean(axis=0))
        shared = (self._parts[0].T @ fit).toarray() / fit.shape[0] - np.outer(self._mean, mean)
        maps = np.stack([cho_solve(factor, shared) for factor in self._factors])
        choices = [_r2(self._predict(1, w, mean), choose.toarray()) for w in maps]
        best = np.nan_to_num(choices, nan=-np.inf).argmax(axis=0)
        chosen = np.take_along_axis(maps, best[None, None], axis=0)[0]
        return _r2(self._predict(2, chosen, mean), score.toarray())

    def _predict(self, part: int, w: NDArray[np.float64], mean: NDArray[np.float64]) -> NDArray[np.float64]:
        return self._parts[part] @ w + (mean - self._mean @ w)


def _cuts(n_images: int) -> list[int]:
    return [n_images // 2, n_images - n_images // 4]


def _r2(predicted: NDArray[np.float64], actual: NDArray[np.float64]) -> NDArray[np.float64]:
    error = ((predicted - actual) ** 2).mean(axis=0)
    variance = actual.var(axis=0)
    return np.where(variance > 0, 1 - error / np.where(variance > 0, variance, 1), np.nan)
