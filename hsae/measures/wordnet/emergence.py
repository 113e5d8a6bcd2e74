"""Emergence: the layer from which on a latent stands for a WordNet node. A score per node and layer, then its rise.

M_l(a) = F1 on one half of the images of the latent with the best F1 on the other half, "fires" against "image is under
node a". Beside it the floor, M_l under shuffled synsets, and the ceiling, a linear probe for a on the activations. The
method is this project's own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hsae.hierarchy.lch import distinct_nodes
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.statistics import bootstrap_interval, spearman
from hsae.measures.wordnet.class_sets import FiringRates

Rows = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class NodeScores:
    """How well one layer's latents stand for each node of `multi_class_nodes`; arrays `[n_nodes]`."""

    latent: NDArray[np.int64]
    """Chosen on the first half of the images."""
    f1: Rows
    """Its F1 on the second half, in [0, 1]."""
    floor: Rows
    """Mean F1 under shuffled synsets."""
    floor_max: Rows
    """Largest F1 under shuffled synsets."""
    probe_f1: Rows
    """F1 of a linear probe on the activations, threshold from the first half; NaN where none was fitted."""


def multi_class_nodes(taxonomy: Taxonomy) -> NDArray[np.int64]:
    """Positions of the tightest node of every set of at least 2 classes: all that can emerge apart from each other."""
    return distinct_nodes(taxonomy, at_least=2)


def node_scores(
    taxonomy: Taxonomy,
    first: FiringRates,
    second: FiringRates,
    probe_f1: Rows | None = None,
    shuffles: int = 20,
    seed: int = 0,
) -> NodeScores:
    """Scores of a layer from firings on the two halves of its held-out images."""
    members = taxonomy.members[multi_class_nodes(taxonomy)]
    latent, f1 = _choose_and_score(first, second, members)
    random = np.random.default_rng(seed)
    orders = [random.permutation(members.shape[1]) for _ in range(shuffles)]
    null = np.array([_choose_and_score(first, second, members[:, order])[1] for order in orders])
    unknown = np.full(len(f1), np.nan)
    return NodeScores(latent, f1, null.mean(axis=0), null.max(axis=0), unknown if probe_f1 is None else probe_f1)


def best_thresholds(scores: Rows, truth: NDArray[np.bool_]) -> Rows:
    """For every column of `scores [n, m]` the threshold, one of its scores, with the best F1 against `truth [n, m]`."""
    order = np.argsort(-scores, axis=0, kind="stable")
    ranked, hits = (np.take_along_axis(values, order, 0) for values in (scores, truth))
    f1 = 2 * hits.cumsum(axis=0) / (np.arange(1, len(scores) + 1)[:, None] + hits.sum(axis=0))
    f1[:-1][ranked[:-1] == ranked[1:]] = -1  # equal scores are taken together or not at all
    return np.take_along_axis(ranked, f1.argmax(axis=0)[None], 0)[0]


def f1_columns(yes: NDArray[np.bool_], truth: NDArray[np.bool_]) -> Rows:
    """F1 of every column of `yes [n, m]` against `truth [n, m]`, in [0, 1]; 0 where both are empty."""
    return 2 * (yes & truth).sum(axis=0) / np.maximum(1, yes.sum(axis=0) + truth.sum(axis=0))


@dataclass(frozen=True, eq=False)
class Emergence:
    """Where nodes emerge over the layers."""

    table: pd.DataFrame
    """node, height, leaf_count, best_f1, appearance and emergence (layer numbers from 0, NaN for never)."""
    summary: dict[str, float | int | None]


def emergence(taxonomy: Taxonomy, layers: Sequence[NodeScores]) -> Emergence:
    """Layers at which each node emerges, in the order given, and how that depends on its height.

    A node *appears* at the first layer whose F1 is above all shuffles, and *emerges* at the first layer with
    F1 >= floor + (max F1 - floor) / 2, if it appears anywhere. Negative correlation with height: coarse nodes first.
    Since high nodes are large, a second correlation holds the number of classes fixed.
    """
    nodes = multi_class_nodes(taxonomy)
    f1, floor, limit = (np.stack([getattr(scores, name) for scores in layers]) for name in ("f1", "floor", "floor_max"))
    appears = f1 > limit
    risen = (f1 >= floor + (f1.max(axis=0) - floor) / 2) & (f1.max(axis=0) > floor)
    table = pd.DataFrame(
        {
            "node": [taxonomy.nodes[p] for p in nodes],
            "height": taxonomy.heights[nodes],
            "leaf_count": taxonomy.leaf_counts[nodes],
            "best_f1": f1.max(axis=0),
            "appearance": _first(appears),
            "emergence": np.where(appears.any(axis=0), _first(risen), np.nan),
        }
    )
    return Emergence(table, _summary(table))


def median_by_height(table: pd.DataFrame, resamples: int = 1000, seed: int = 0) -> pd.DataFrame:
    """height, n, median, low, high: median emergence of the n nodes of a height, 95 % bootstrap interval over nodes."""
    random = np.random.default_rng(seed)
    rows = []
    for height, group in table.dropna(subset="emergence").groupby("height"):
        values = group.emergence.to_numpy()
        low, high = bootstrap_interval(values, random, np.median, resamples)
        rows.append((int(height), len(values), float(np.median(values)), low, high))
    return pd.DataFrame(rows, columns=["height", "n", "median", "low", "high"])


def _summary(table: pd.DataFrame) -> dict[str, float | int | None]:
    emerged = table.dropna(subset="emergence")
    height, size = emerged.height.to_numpy(float), emerged.leaf_count.to_numpy(float)
    return {
        "n_nodes": len(table),
        "n_found": len(emerged),
        "spearman_emergence_height": spearman(emerged.emergence.to_numpy(), height),
        "spearman_emergence_height_at_equal_size": _partial(emerged.emergence.to_numpy(), height, size),
        "spearman_appearance_height": spearman(emerged.appearance.to_numpy(), height),
        "spearman_appearance_height_at_equal_size": _partial(emerged.appearance.to_numpy(), height, size),
    }


def _partial(a: Rows, b: Rows, given: Rows) -> float | None:
    """Spearman's partial correlation of a and b given a third; None where one of the three is undefined."""
    ab, ac, bc = spearman(a, b), spearman(a, given), spearman(b, given)
    if ab is None or ac is None or bc is None or max(abs(ac), abs(bc)) >= 1:
        return None
    return (ab - ac * bc) / float(np.sqrt((1 - ac**2) * (1 - bc**2)))


def _choose_and_score(
    first: FiringRates, second: FiringRates, members: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], Rows]:
    """The latent with the best F1 for each node on the first half, and its F1 on the second."""
    latent = _f1(first.fired, first.images, members).argmax(axis=0)
    chosen = second.fired[latent]
    hits = (chosen * members).sum(axis=1)
    return latent, 2 * hits / np.maximum(1, chosen.sum(axis=1) + members @ second.images)


def _f1(fired: NDArray[np.int64], images: NDArray[np.int64], members: NDArray[np.bool_]) -> Rows:
    """2 hits / (firings + images of the node), `[n_latents, n_nodes]`."""
    hits = fired.astype(np.float32) @ members.T.astype(np.float32)
    return 2 * hits / np.maximum(1, fired.sum(axis=1)[:, None] + members @ images)


def _first(holds: NDArray[np.bool_]) -> Rows:
    """First row in which each column holds; NaN for none."""
    return np.where(holds.any(axis=0), holds.argmax(axis=0), np.nan)
