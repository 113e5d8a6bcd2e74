"""Linear probes for WordNet nodes: how well a linear map of the activations tells each node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hsae.measures.moments import moments
from hsae.measures.wordnet.nodes import LabelledScores, ranking

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
    return stream_node_probes([(x, labels)], members, ridge)


def stream_node_probes(parts: Iterable[tuple[Tensor, Tensor]], members: Tensor, ridge: float = RIDGE) -> NodeProbes:
    """`fit_node_probes` on x and labels that come part by part, each of which is read once."""
    sums, counts = torch.zeros(()), torch.zeros(members.shape[1], dtype=torch.float64)

    def labelled() -> Iterator[Tensor]:
        nonlocal sums, counts
        for x, labels in parts:
            known = labels >= 0
            x, labels = x[known].double(), labels[known]
            sums = sums + torch.zeros(len(counts), x.shape[1]).double().index_add_(0, labels, x)
            counts = counts + torch.bincount(labels, minlength=len(counts))
            yield x

    found, under = moments(labelled()), members.double()
    n, variance = counts.sum(), found.covariance.diagonal()
    std = variance.clamp_min(0).sqrt()
    std = torch.where(std > 1e-6 * std.max(), std, 1.0)
    gram = found.covariance / torch.outer(std, std) + ridge * torch.eye(len(std), dtype=std.dtype)
    # Of the nodes with each standardised dimension: sums of x under a node, less what its mean alone makes of them.
    shared = (under @ (sums - counts[:, None] * found.mean)).T / (n * std[:, None])
    weights = torch.linalg.solve(gram, shared)
    return NodeProbes((weights / std[:, None]).float(), found.mean.float())


def best_thresholds(
    scores: NDArray[np.float32], truth: NDArray[np.bool_], images: NDArray[np.bool_] | slice = slice(None)
) -> NDArray[np.float32]:
    """For every column of `scores [n, m]` the threshold, one of its scores, with the best F1 against `truth [n, m]`.

    images: those that count, a mask `[n]`.
    """

    def threshold(scores: NDArray[np.float32], under: NDArray[np.bool_]) -> np.float32:
        scores, under = scores[images], under[images]
        ranked = ranking(scores)
        hits = under[ranked.order].cumsum()[ranked.ends - 1]  # equal scores are taken together or not at all
        f1 = 2 * hits / (ranked.ends + hits[-1])
        return scores[ranked.order[f1.argmax()]]

    columns = LabelledScores(scores, np.zeros(len(scores), np.int64))
    return np.array(list(columns.each(threshold, truth.T)), dtype=np.float32)


def node_mean_differences(x: Tensor, labels: Tensor, members: Tensor) -> Tensor:
    """Mean of `x [n, d_in]` under each node minus that of all other labelled x: `[n_nodes, d_in]`.

    labels and members as for `fit_node_probes`; NaN for a node without x on both sides.
    """
    x, labels = x[labels >= 0].double(), labels[labels >= 0]
    under = members.T[labels].double()
    counts, sums = under.sum(0)[:, None], under.T @ x
    return (sums / counts - (x.sum(0) - sums) / (len(x) - counts)).float()
