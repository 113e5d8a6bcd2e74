"""Linear probes for WordNet nodes: how well a linear map of the activations tells each node."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

RIDGE = 1e-2  # of the mean variance of a standardised dimension, which is 1


@dataclass(frozen=True, eq=False)
class NodeProbes:
    """score = (x - mean) W, one column a node."""

    W: Tensor
    """`[d_in, n_nodes]`, in units of x."""
    mean: Tensor
    """`[d_in]`, of the training activations."""

    def scores(self, x: Tensor) -> Tensor:
        """`[n, d_in]` to `[n, n_nodes]`; only their order within a column has a meaning."""
        return (x - self.mean) @ self.W


def fit_node_probes(x: Tensor, labels: Tensor, members: Tensor) -> NodeProbes:
    """Ridge regression of "the image is under the node" on standardised `x [n, d_in]`, all nodes in one solution.

    labels `[n]` class indices, -1 left out; members `[n_nodes, n_classes]` bool.
    """
    x, labels = x[labels >= 0].double(), labels[labels >= 0]
    mean, std = x.mean(0), x.std(0, correction=0)
    std = torch.where(std > 1e-6 * std.max(), std, 1.0)
    standard = (x - mean) / std
    target = members.T[labels].double()
    gram = standard.T @ standard / len(x) + RIDGE * torch.eye(x.shape[1], dtype=x.dtype)
    weights = torch.linalg.solve(gram, standard.T @ (target - target.mean(0)) / len(x))
    return NodeProbes((weights / std[:, None]).float(), mean.float())
