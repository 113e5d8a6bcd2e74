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

from hsae.measures.wordnet.nodes import LabelledScores

KS = (1, 2, 5, 20)
RIDGE = 1e-3
"""Of the variance of a standardised latent, which is 1."""
Rows = NDArray[np.float64]


def sparse_probing(
    members: NDArray[np.bool_], choice: LabelledScores, test: LabelledScores, ks: Sequence[int] = KS
) -> Rows:
    """Balanced accuracy, (recall + specificity) / 2, on the test images for each node and k: `[n_nodes, n_ks]`.

    members `[n_nodes, n_classes]`, each with images on both sides in the choice; 0.5 is chance, NaN for a node that has
    no test image under it or beside it. With fewer than k latents all are used.
    """
    mean, std = choice.scores.mean(axis=0, dtype=np.float64), choice.scores.std(axis=0, dtype=np.float64)
    std = np.where(std > 0, std, np.inf)  # a constant tells nothing
    difference = _difference_of_means(members, choice) / std
    columns = [np.ascontiguousarray(part.scores.T) for part in (choice, test)]
    found = np.full((len(members), len(ks)), np.nan)
    for node, row in enumerate(members):
        latents = np.argsort(-np.abs(difference[node]), kind="stable")[: max(ks)]
        fit, seen = ((part[latents].T - mean[latents]) / std[latents] for part in columns)
        under, truth = row[choice.labels], row[test.labels]
        if truth.any() and not truth.all():
            weights = np.where(under, 0.5 / under.sum(), 0.5 / (~under).sum())
            found[node] = [_balanced(*_fitted(fit[:, :k], under, weights), seen[:, :k], truth) for k in ks]
    return found


def _difference_of_means(members: NDArray[np.bool_], data: LabelledScores) -> Rows:
    """Mean score under each node minus that of the rest, `[n_nodes, n_latents]`."""
    n_classes = members.shape[1]
    one_hot = np.zeros((n_classes, len(data.labels)), dtype=np.float32)
    one_hot[data.labels, np.arange(len(data.labels))] = 1
    sums = (one_hot @ data.scores).astype(np.float64)
    under, inside = data.under(members)[:, None], members @ sums
    return inside / under - (sums.sum(axis=0) - inside) / (len(data.labels) - under)


def _fitted(x: NDArray[Any], under: NDArray[np.bool_], weights: Rows) -> tuple[Rows, float]:
    """Weights and bias of the weighted least squares fit of +1 and -1; the weights of the images sum to 1."""
    target = np.where(under, 1.0, -1.0)
    mean = weights @ x
    centred = (x - mean) * weights[:, None]
    gram = centred.T @ (x - mean)
    w = np.linalg.solve(gram + RIDGE * np.eye(len(gram)), centred.T @ target)
    return w, float(-mean @ w)


def _balanced(w: Rows, bias: float, x: NDArray[Any], truth: NDArray[np.bool_]) -> float:
    yes = x @ w + bias > 0
    return float((yes[truth].mean() + (~yes[~truth]).mean()) / 2)
