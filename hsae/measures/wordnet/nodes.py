"""Which WordNet nodes does a score tell from the rest? Every latent against every node, exactly.

The score of an image is a latent's pre-activation (the largest over the image's tokens) or its projection on any other
direction. Over n images of which P are under node a, with share pi = P / n:
    AP        sum over the images under a of (those under a that score at least as much / all that do) / P
    AP gain   (AP - pi) / (1 - pi): 1 is perfect, 0 is chance
    MCC       (n hits - said P) / sqrt(said (n - said) P (n - P)), where the `said` images with the largest scores
              are said to be under a and `hits` of them are
Equal scores count together, so their order does not matter. An image of a class that is an ancestor of a node's classes
counts as not under that node.

One sort serves all nodes: one walk over the images, strongest first, counts those under each of them. For given hits
MCC is best with the fewest images said, so the best threshold is the score of an image under the node.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from hsae.data.ahead import done_ahead
from hsae.errors import InputError
from hsae.hierarchy.lch import MISSING, distinct_nodes
from hsae.hierarchy.taxonomy import Taxonomy

MIN_SAID = 5
"""Images that a threshold says at least."""

COLUMNS = 32
"""Latents copied out of the scores at once, by each thread."""
THREADS = min(8, os.cpu_count() or 1)
_ROWS = 512  # images of which are copied at a time: they fit into a processor's cache
Rows = NDArray[np.float64]
Ranks = NDArray[np.int64]
T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class LabelledScores:
    """Scores of labelled images; InputError unless they fit together."""

    scores: NDArray[np.float32]
    """`[n_images, n_latents]`, finite."""
    labels: NDArray[np.int64]
    """Class numbers `[n_images]`, >= 0: columns of the taxonomy's members."""

    def __post_init__(self) -> None:
        if self.scores.ndim != 2 or self.labels.shape != (len(self.scores),) or (self.labels < 0).any():
            got = f"scores of shape {self.scores.shape} with labels of shape {self.labels.shape}"
            raise InputError(got, "[n_images, n_latents], and a class number >= 0 for every image")

    def each(
        self,
        function: Callable[..., T],
        *others: Sequence[Any] | NDArray[Any],
        latents: NDArray[np.int64] | None = None,
    ) -> Iterator[T]:
        """`function` of the scores of every latent `[n_images]`, or of some `latents`, in order; several at a time.

        others: what it is given besides, an element for each of them.
        """
        return chain.from_iterable(self.blocks(lambda *block: list(map(function, *block)), *others, latents=latents))

    def blocks(
        self,
        function: Callable[..., T],
        *others: Sequence[Any] | NDArray[Any],
        latents: NDArray[np.int64] | None = None,
    ) -> Iterator[T]:
        """`each`, but `function` gets up to COLUMNS latents together, `[n, n_images]`, and their elements of others."""
        chosen = np.arange(self.scores.shape[1]) if latents is None else latents

        def some(start: int) -> T:
            part = slice(start, start + COLUMNS)
            block = self.columns(chosen[part])
            if not np.isfinite(block).all():
                raise InputError("scores with NaN or infinite values", "finite numbers")
            return function(block, *(other[part] for other in others))

        return done_ahead(some, range(0, len(chosen), COLUMNS), THREADS, ahead=2)

    def columns(self, latents: NDArray[np.int64]) -> NDArray[np.float32]:
        """A copy of the scores of some latents, `[n, n_images]`."""
        found = np.empty((len(latents), len(self.scores)), self.scores.dtype)
        for at in range(0, len(self.scores), _ROWS):
            found[:, at : at + _ROWS] = self.scores[at : at + _ROWS].take(latents, axis=1).T
        return found

    def under(self, members: NDArray[np.bool_]) -> NDArray[np.int64]:
        """Images under every node, `[n_nodes]`, from `members [n_nodes, n_classes]`; InputError for a class beyond."""
        images = np.bincount(self.labels, minlength=members.shape[1])
        if len(images) > members.shape[1]:
            raise InputError(f"images of class number {len(images) - 1}", f"below {members.shape[1]}")
        return members @ images


@dataclass(frozen=True, eq=False)
class Ranking:
    """The images of one latent, strongest first."""

    order: NDArray[np.int64]
    """Images by falling score, and those of equal scores by their number."""
    ends: Ranks
    """In that order, how many images score at least as much as each: 1 .. n without equal scores."""

    @property
    def places(self) -> NDArray[np.int32]:
        """Where every image comes, `[n_images]` from 0 on."""
        places = np.empty(len(self.order), np.int32)
        places[self.order] = np.arange(len(self.order), dtype=np.int32)
        return places


def ranking(scores: NDArray[np.float32]) -> Ranking:
    """Rank the images of one latent by `scores [n_images]`, none of them NaN."""
    from hsae.measures.wordnet.kernels import falling_keys, read_ranking  # only here: importing numba takes time

    keys, ends = np.empty(len(scores), np.int64), np.empty(len(scores), np.int64)
    falling_keys(np.ascontiguousarray(scores, np.float32), keys)
    keys.sort()  # of numbers, which is faster than an argsort
    read_ranking(keys, ends)
    return Ranking(keys, ends)


def average_precision_of(ranks: Ranks) -> float:
    """AP from the ranks of the images under a node, rising `[P]`, where equal scores share the last of their ranks."""
    return float((np.searchsorted(ranks, ranks, side="right") / ranks).mean()) if len(ranks) else np.nan


def candidate_nodes(taxonomy: Taxonomy, data: LabelledScores, max_share: float = 0.5) -> NDArray[np.int64]:
    """Positions of the distinct class sets that hold some of the images, and less than `max_share` of them."""
    nodes = distinct_nodes(taxonomy)
    images = data.under(taxonomy.members[nodes])
    return nodes[(images > 0) & (images < max_share * len(data.labels))]


@dataclass(frozen=True, eq=False)
class NodeFits:
    """How well every latent tells every node, `[n_latents, n_nodes]`."""

    ap_gain: NDArray[np.float32]
    mcc: NDArray[np.float32]
    """At each pair's best threshold: optimistic, as it is chosen on the same images."""


def best_gains(
    data: LabelledScores,
    members: NDArray[np.bool_],
    others: Sequence[NDArray[np.int64]] = (),
    also: Callable[[int, Ranking], None] | None = None,
) -> list[tuple[NDArray[np.int64], Rows]]:
    """For every node the latent with the largest AP gain, the first of equal ones, and its gain: `[n_nodes]` each.

    Of the labels of `data`, then of `others`: labels of the same images, for which the latents are not ranked again.
    also: is given every latent and its ranking, by several threads.
    """
    images = [_NodeImages(LabelledScores(data.scores, labels), members, 1) for labels in (data.labels, *others)]

    def gains(scores: NDArray[np.float32], latent: int) -> list[Rows]:
        ranked = ranking(scores)
        if also is not None:
            also(latent, ranked)
        return [one.ap_gain(ranked) for one in images]

    best = [(np.full(len(members), MISSING), np.full(len(members), -np.inf)) for _ in images]
    for number, found in enumerate(data.each(gains, range(data.scores.shape[1]))):
        for (latent, gain), new in zip(best, found, strict=True):
            larger = new > gain
            latent[larger], gain[larger] = number, new[larger]
    return best


def node_fits(data: LabelledScores, members: NDArray[np.bool_], min_said: int = MIN_SAID) -> NodeFits:
    """Every latent against every node of `members [n_nodes, n_classes]`, each with some images and not all."""
    images = _NodeImages(data, members, min_said)

    def fit(scores: NDArray[np.float32]) -> tuple[Rows, Rows]:
        ranked = ranking(scores)
        return images.ap_gain(ranked), images.best_mcc(ranked)[0]

    gain, mcc = (np.empty((data.scores.shape[1], len(members)), dtype=np.float32) for _ in range(2))
    for latent, found in enumerate(data.each(fit)):
        gain[latent], mcc[latent] = found
    return NodeFits(gain, mcc)


def own_thresholds(
    data: LabelledScores,
    latents: NDArray[np.int64],
    members: NDArray[np.bool_],
    min_said: int = MIN_SAID,
) -> NDArray[np.float32]:
    """The threshold of the largest MCC of some latents, each for a node of its own: its row of `members`.

    `[n]` from `latents [n]` and `members [n, n_classes]`, each with some images; NaN where no MCC is above 0.
    """
    n = len(data.labels)

    def threshold(scores: NDArray[np.float32], row: NDArray[np.bool_]) -> float:
        ranked = ranking(scores)
        ends = ranked.ends[row[data.labels[ranked.order]]]
        hits, said = np.searchsorted(ends, ends, side="right"), np.maximum(ends, ranked.ends[min_said - 1])
        mcc = (n * hits - said * len(ends)) / np.sqrt(np.maximum(said * (n - said), 1))  # 0 where all are said
        best = int(mcc.argmax())
        return scores[ranked.order[said[best] - 1]] if mcc[best] > 0 else np.nan

    return np.array(list(data.each(threshold, members, latents=latents)), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class BestNodes:
    """The node that each latent tells best, and from which score on, `[n_latents]`."""

    node: NDArray[np.int64]
    """Row of `members`; MISSING where no node has an MCC above 0."""
    mcc: Rows
    threshold: NDArray[np.float32]
    """The least score of an image that is said to be under the node; NaN where it is MISSING."""


def best_nodes(data: LabelledScores, members: NDArray[np.bool_], min_said: int = MIN_SAID) -> BestNodes:
    """The first of the nodes with the largest MCC; arguments as for `node_fits`."""
    images = _NodeImages(data, members, min_said)

    def best(scores: NDArray[np.float32]) -> tuple[int, float, float]:
        ranked = ranking(scores)
        mcc, said = images.best_mcc(ranked)
        node = int(mcc.argmax())
        if mcc[node] <= 0:
            return MISSING, np.nan, np.nan
        return node, mcc[node], scores[ranked.order[said[node] - 1]]

    node, mcc, threshold = zip(*data.each(best), strict=True)
    return BestNodes(np.array(node), np.array(mcc), np.array(threshold, dtype=np.float32))


class _NodeImages:
    """Which images are under which nodes, for one walk over a ranking of them."""

    def __init__(self, data: LabelledScores, members: NDArray[np.bool_], min_said: int) -> None:
        n, self.positives = len(data.labels), data.under(members)
        if not len(members) or not (0 < self.positives.min() <= self.positives.max() < n) or n <= min_said:
            got = f"{n} images, of which {self.positives.tolist()[:5]!s:.60} are under the nodes"
            raise InputError(got, f"more than {min_said} images, and nodes with some of them but not all")
        self.n, self.min_said = n, min_said
        above = csr_array(members.T, dtype=np.int8)
        self.under = data.labels.astype(np.uint32), above.indptr.astype(np.uint32), above.indices.astype(np.uint32)

    def ap_gain(self, ranked: Ranking) -> Rows:
        """AP gain of every node, `[n_nodes]`."""
        from hsae.measures.wordnet.kernels import precision_sums  # only where it is wanted: importing numba takes time

        state, share = np.zeros((len(self.positives), 2)), self.positives / self.n
        precision_sums((ranked.order, ranked.ends), self.under, state)
        return (state[:, 1] / self.positives - share) / (1 - share)

    def best_mcc(self, ranked: Ranking) -> tuple[Rows, NDArray[np.int64]]:
        """The best MCC of every node and how many images are said there, `[n_nodes]` each."""
        from hsae.measures.wordnet.kernels import best_cuts

        positives, fewest = self.positives.astype(float), ranked.ends[self.min_said - 1]
        best, said = np.full(len(positives), -np.inf), np.zeros(len(positives), np.int64)
        best_cuts((ranked.order, ranked.ends), self.under, fewest, positives, best, said)
        return best / np.sqrt(positives * (self.n - positives)), said
