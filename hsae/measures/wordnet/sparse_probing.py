"""k-sparse probing: how well the k latents that differ most between a node and the rest tell it together.

As SAEBench does it (arXiv 2503.09532): one against the rest, both sides weighing the same, the latents ranked by the
difference of their means, all on images that are not scored. The fit is least squares on +1 and -1, whose solution is
exact, in place of logistic regression.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from hsae.measures.wordnet.nodes import LabelledScores

KS = (1, 2, 5, 20)
RIDGE = 1e-3
"""Of the variance of a standardised latent, which is 1."""
_NODES = 32  # whose latents are copied out of the scores together
Rows = NDArray[np.float64]


def sparse_probing(
    members: NDArray[np.bool_], choice: LabelledScores, test: LabelledScores, ks: Sequence[int] = KS
) -> Rows:
    """Balanced accuracy, (recall + specificity) / 2, on the test images for each node and k: `[n_nodes, n_ks]`.

    members `[n_nodes, n_classes]`, each with images on both sides in the choice; 0.5 is chance, NaN for a node that has
    no test image under it or beside it. With fewer than k latents all are used.
    """
    mean, std, sums = _moments(choice, members.shape[1])
    difference = _difference_of_means(members, sums, choice) / std
    latents = np.stack([np.argsort(-np.abs(row), kind="stable")[: max(ks)] for row in difference])
    found = np.full((len(members), len(ks)), np.nan)
    for start in range(0, len(members), _NODES):
        nodes = range(start, min(start + _NODES, len(members)))
        used, places = np.unique(latents[nodes], return_inverse=True)
        columns = [np.ascontiguousarray(part.scores[:, used].T) for part in (choice, test)]
        for node, own in zip(nodes, places.reshape(len(nodes), -1), strict=True):
            fit, seen = ((part[own].T - mean[used[own]]) / std[used[own]] for part in columns)
            under, truth = members[node][choice.labels], members[node][test.labels]
            if truth.any() and not truth.all():
                yes = _fitted(fit, under, ks)(seen)
                found[node] = (yes[truth].mean(axis=0) + (~yes[~truth]).mean(axis=0)) / 2
    return found


def _moments(data: LabelledScores, n_classes: int) -> tuple[Rows, Rows, Rows]:
    """Mean and standard deviation `[n_latents]`, infinite for a constant, which tells nothing; sums by class
    `[n_classes, n_latents]`.
    """

    def moments(scores: NDArray[np.float32]) -> tuple[float, float, Rows]:
        exact = scores.astype(np.float64)
        return exact.mean(), exact.std() or np.inf, np.bincount(data.labels, exact, n_classes)

    mean, std, sums = zip(*data.each(moments), strict=True)
    return np.array(mean), np.array(std), np.stack(sums, axis=1)


def _difference_of_means(members: NDArray[np.bool_], sums: Rows, data: LabelledScores) -> Rows:
    """Mean score under each node minus that of the rest, `[n_nodes, n_latents]`."""
    under, inside = data.under(members)[:, None], members @ sums
    return inside / under - (sums.sum(axis=0) - inside) / (len(data.labels) - under)


def _fitted(x: Rows, under: NDArray[np.bool_], ks: Sequence[int]) -> Callable[[Rows], NDArray[np.bool_]]:
    """Weighted least squares fits of +1 and -1 to the first k columns of x, both sides weighing half.

    They say of other rows whether they are under the node, `[n, n_ks]`.
    """
    target = np.where(under, 1.0, -1.0)
    weights = np.where(under, 0.5 / under.sum(), 0.5 / (~under).sum())
    mean = weights @ x
    centred = (x - mean) * weights[:, None]
    gram, moment = centred.T @ (x - mean), centred.T @ target
    w = np.zeros((len(gram), len(ks)))
    for column, k in enumerate(ks):
        w[:k, column] = np.linalg.solve(gram[:k, :k] + RIDGE * np.eye(len(gram[:k])), moment[:k])
    return lambda other: other @ w - mean @ w > 0
