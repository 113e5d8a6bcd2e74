"""k-sparse probing: how well the k latents that differ most between a node and the rest tell it together.

As SAEBench does it (arXiv 2503.09532): one against the rest, both sides weighing the same, the latents ranked by the
difference of their means, all on images that are not scored. The fit is least squares on +1 and -1, whose solution is
exact, in place of logistic regression.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

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
        difference = _difference_of_means(members[start : start + _NODES], sums, choice) / std
        latents = np.stack([_largest(np.abs(row), max(ks)) for row in difference])
        used, places = np.unique(latents, return_inverse=True)
        fit, seen = (_Columns(data.columns(used), mean[used], std[used]) for data in (choice, test))
        for node, own in enumerate(places.reshape(latents.shape)):
            row = members[start + node]
            truth = row[test.labels]
            if truth.any() and not truth.all():
                moment = difference[node, used[own]] / 2
                yes = seen.linear(own, *_fitted(fit, own, row[choice.labels], moment, ks)) > 0
                found[start + node] = (yes[:, truth].mean(axis=1) + (~yes[:, ~truth]).mean(axis=1)) / 2

    for _ in done_ahead(some, range(0, len(members), _NODES), THREADS, ahead=1):
        pass
    return found


@dataclass(frozen=True, eq=False)
class _Columns:
    """Scores of some latents `[n, n_images]`, read less their mean and over their standard deviation `[n]`."""

    scores: NDArray[np.float32]
    mean: Rows
    std: Rows

    def products(self, own: NDArray[np.int64], weights: Rows) -> tuple[Rows, Rows]:
        """Sums `[k]` of latents, and of products of two `[k, k]`, over images of some `weights [n_images]`."""
        from hsae.measures.wordnet.kernels import weighted_products  # only here: importing numba takes time

        found = np.zeros((len(own) + 1, len(own) + 1))
        weighted_products(self.scores, own, self.mean[own], self.std[own], weights, found)
        return found[-1, :-1], found[:-1, :-1]

    def linear(self, own: NDArray[np.int64], w: Rows, bias: Rows) -> Rows:
        """w `[k, n_fits]`, bias `[n_fits]`: `[n_fits, n_images]`."""
        from hsae.measures.wordnet.kernels import linear_combinations

        of_scores = w / self.std[own, None]
        found = np.empty((len(bias), self.scores.shape[1]))
        linear_combinations(self.scores, own, of_scores, bias - self.mean[own] @ of_scores, found)
        return found


def _moments(data: LabelledScores, n_classes: int) -> tuple[Rows, Rows]:
    """Mean and standard deviation `[2, n_latents]`, infinite for a constant, which tells nothing; sums by class
    and, last, of all `[n_classes + 1, n_latents]`.
    """

    def moments(scores: NDArray[np.float32]) -> tuple[tuple[float, float], NDArray[Any]]:
        exact = scores.astype(np.float64)
        by_class = np.bincount(data.labels, weights=exact, minlength=n_classes)
        return (float(exact.mean()), float(exact.std()) or np.inf), by_class

    two, sums = np.empty((2, data.scores.shape[1])), np.empty((n_classes + 1, data.scores.shape[1]))
    for latent, (own, by_class) in enumerate(data.each(moments)):
        two[:, latent], sums[:-1, latent], sums[-1, latent] = own, by_class, by_class.sum()
    return two, sums


def _difference_of_means(members: NDArray[np.bool_], sums: Rows, data: LabelledScores) -> Rows:
    """Mean score under each node minus that of the rest, `[n_nodes, n_latents]`; `sums` as of `_moments`."""
    under, inside = data.under(members)[:, None], csr_array(members, dtype=float) @ sums[:-1]
    return inside / under - (sums[-1] - inside) / (len(data.labels) - under)


def _largest(values: Rows, k: int) -> NDArray[np.int64]:
    """Where the k largest of `values [n]` are, or all, in falling order; the first of equal ones."""
    near = np.flatnonzero(values >= np.partition(values, -k)[-k]) if k < len(values) else np.arange(len(values))
    return near[np.argsort(-values[near], kind="stable")][:k]


def _fitted(
    x: _Columns, own: NDArray[np.int64], under: NDArray[np.bool_], moment: Rows, ks: Sequence[int]
) -> tuple[Rows, Rows]:
    """Weights `[k, n_ks]` and biases of least squares fits of +1 and -1 to the first k of the latents.

    Both sides weigh half, so the mean of the target is 0, and its `moment` with a latent half the difference of means.
    """
    mean, products = x.products(own, 0.5 * under / under.sum() + 0.5 * ~under / (~under).sum())
    gram = products - np.outer(mean, mean) + RIDGE * np.eye(len(own))
    w = np.zeros((len(own), len(ks)))
    for column, k in enumerate(ks):
        w[:k, column] = np.linalg.solve(gram[:k, :k], moment[:k])
    return w, -mean @ w
