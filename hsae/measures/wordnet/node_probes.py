"""Linear probes for WordNet nodes: how well a linear map of the activations tells each node."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

RIDGE = 1e-2  # of the mean variance of a standardised dimension, which is 1


@dataclass(frozen=True, eq=False)
class NodeProbes:
    """score = (x - mean) W, one column per node."""

    W: Tensor
    """`[d_in, n_nodes]`, in units of x."""
    mean: Tensor
    """`[d_in]`, of the training activations."""

    def scores(self, x: Tensor) -> Tensor:
        """`[n, d_in]` to `[n, n_nodes]`; only their order within a column has a meaning."""
        return (x - self.mean) @ self.W


def fit_node_probes(x: Tensor, labels: Tensor, members: Tensor, ridge: float = RIDGE) -> NodeProbes:
    """Ridge regression of "the image is under the node" on standardised `x [n, d_in]`, all nodes in one solution.

    labels `[n]` class indices, -1 left out; members `[n_nodes, n_classes]` bool; ridge: penalty on the weights, in
    units of the variance of a standardised dimension.
    """
    x, labels = x[labels >= 0].double(), labels[labels >= 0]
    mean, std = x.mean(0), x.std(0, correction=0)
    std = torch.where(std > 1e-6 * std.max(), std, 1.0)
    standard = (x - mean) / std
    target = members.T[labels].double()
    gram = standard.T @ standard / len(x) + ridge * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(gram, standard.T @ (target - target.mean(0)) / len(x))
    return NodeProbes((weights / std[:, None]).float(), mean.float())


def best_thresholds(scores: NDArray[np.float32], truth: NDArray[np.bool_]) -> NDArray[np.float32]:
    """For every column of `scores [n, m]` the threshold, one of its scores, with the best F1 against `truth [n, m]`."""
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked, hits = (np.take_along_axis(values, order, 0) for values in (scores, truth))
    f1 = 2 * hits.cumsum(axis=0) / (np.arange(1, len(scores) + 1)[:, None] + hits.sum(axis=0))
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # equal scores are taken together or not at all
    return np.take_along_axis(ranked, f1.argmax(axis=0)[None], 0)[0]


def node_mean_differences(x: Tensor, labels: Tensor, members: Tensor) -> Tensor:
    """Mean of `x [n, d_in]` under each node minus that of all other labelled x: `[n_nodes, d_in]`.

    labels and members as for `fit_node_probes`; NaN for a node without x on both sides.
    """
    x, labels = x[labels >= 0].double(), labels[labels >= 0]
    under = members.T[labels].double()
    counts, sums = under.sum(0)[:, None], under.T @ x
    return (sums / counts - (x.sum(0) - sums) / (len(x) - counts)).float()
