"""k-sparse probing: how well the k latents that differ most between a node and the rest tell it together.

As SAEBench does it (arXiv 2503.09532): one against the rest, both sides weighing the same, the latents ranked by the
difference of their means, all on images that are not scored. The fit is least squares on +1 and -1, whose solution is
exact, in place of logistic regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsae.data.ahead import done_ahead
from hsae.measures.wordnet.nodes import THREADS, LabelledScores

KS = (1, 2, 5, 20)
RIDGE = 1e-3
"""Of the variance of a standardised latent, which is 1."""
_NODES = 16  # whose latents are copied out of the scores together
Rows = NDArray[np.float64]


def sparse_probing(
    members: NDArray[np.bool_], choice: LabelledScores, test: LabelledScores, ks: Sequence[int] = KS
) -> Rows:
    """Balanced accuracy, (recall + specificity) / 2, on the test images for each node and k: `[n_nodes, n_ks]`.

    members `[n_nodes, n_classes]`, each with images on both sides in the choice; 0.5 is chance, NaN for a node that has
    no test image under it or beside it. With fewer than k latents all are used.
    """
    (mean, std), sums = _moments(choice, members.shape[1])
    found = np.full((len(members), len(ks)), np.nan)

    def some(start: int) -> None:
        rows = members[start : start + _NODES]
        difference = _difference_of_means(rows, sums, choice) / std
        latents = np.stack([_largest(np.abs(row), max(ks)) for row in difference])
        used, places = np.unique(latents, return_inverse=True)
        fit, seen = choice.columns(used), test.columns(used)
        for node, (row, own) in enumerate(zip(rows, places.reshape(latents.shape), strict=True)):
            truth, latent = row[test.labels], used[own]
            if truth.any() and not truth.all():
                x, held = ((part[own] - mean[latent, None]) / std[latent, None] for part in (fit, seen))
                w, bias = _fitted(x, row[choice.labels], difference[node, latent] / 2, ks)
                yes = w.T @ held + bias[:, None] > 0
                found[start + node] = (yes[:, truth].mean(axis=1) + (~yes[:, ~truth]).mean(axis=1)) / 2

    for _ in done_ahead(some, range(0, len(members), _NODES), THREADS, ahead=1):
        pass
    return found


def _moments(data: LabelledScores, n_classes: int) -> tuple[Rows, Rows]:
    """Mean and standard deviation `[2, n_latents]`, infinite for a constant, which tells nothing; sums by class
    `[n_latents, n_classes]`.
    """

    def moments(scores: NDArray[np.float32]) -> tuple[tuple[float, float], NDArray[Any]]:
        exact = scores.astype(np.float64)
        by_class = np.bincount(data.labels, weights=exact, minlength=n_classes)
        return (float(exact.mean()), float(exact.std()) or np.inf), by_class

    two, sums = np.empty((2, data.scores.shape[1])), np.empty((data.scores.shape[1], n_classes))
    for latent, found in enumerate(data.each(moments)):
        two[:, latent], sums[latent] = found
    return two, sums


def _difference_of_means(members: NDArray[np.bool_], sums: Rows, data: LabelledScores) -> Rows:
    """Mean score under each node minus that of the rest, `[n_nodes, n_latents]`."""
    under, inside = data.under(members)[:, None], members.astype(float) @ sums.T
    return inside / under - (sums.sum(axis=1) - inside) / (len(data.labels) - under)


def _largest(values: Rows, k: int) -> NDArray[np.int64]:
    """Where the k largest of `values [n]` are, or all, in falling order; the first of equal ones."""
    near = np.flatnonzero(values >= np.partition(values, -k)[-k]) if k < len(values) else np.arange(len(values))
    return near[np.argsort(-values[near], kind="stable")][:k]


def _fitted(x: Rows, under: NDArray[np.bool_], moment: Rows, ks: Sequence[int]) -> tuple[Rows, Rows]:
    """Weights `[k, n_ks]` and biases of least squares fits of +1 and -1 to the first k of latents `x [k, n_images]`.

    Both sides weigh half, so the mean of the target is 0, and its `moment` with a latent half the difference of means.
    """
    weights = 0.5 * under / under.sum() + 0.5 * ~under / (~under).sum()
    mean = x @ weights
    gram = (x * weights) @ x.T - np.outer(mean, mean) + RIDGE * np.eye(len(x))
    w = np.zeros((len(x), len(ks)))
    for column, k in enumerate(ks):
        w[:k, column] = np.linalg.solve(gram[:k, :k], moment[:k])
    return w, -mean @ w
