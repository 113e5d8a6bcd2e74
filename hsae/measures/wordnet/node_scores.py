"""The best latent of a layer for every WordNet node, and how good the best of them is by chance.

The best latent has the largest AP gain (`hsae.measures.wordnet.nodes`), and that of many is large by chance. Permuted
labels make the images under a node any images, so the best gain that they leave depends on how many these are: one
permutation, whose first P images are those of a node of P, serves all nodes, and all latents are read on the same
images. Each number of images is at most twice the one before; between two of them a node takes the larger p-value,
since the gain's quantiles fall with the number, while single images decide, and then rise with the share.

Every latent would have to be sorted for every permutation. The part of AP that is linear in the images,
    sum over the images under the node of (1 - pi) / rank + pi log(n / rank),
is a matrix product for many images and a sum over few; AP itself is taken of the latents for which that is largest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from hsae.hierarchy.lch import MISSING, distinct_nodes
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.wordnet.nodes import COLUMNS, LabelledScores, Ranking, best_gains, candidate_nodes, ranking
from hsae.sae.topk_search import multiplies_bfloat16

PERMUTATIONS = 1000
_GROWTH = 2  # from one number of drawn images to the next, at most
_SORTED = 32  # latents for a permutation
_BLOCK = 256  # latents in one product
_TOGETHER = 16  # latents whose weights of one image are added at once
_ROWS = 100  # permutations that are filled in at once
_FEW = 0.1  # share of the images up to which they are added up one by one
_ROUNDING = 1e-6
_NOTHING = np.zeros(0, dtype=np.int64), np.zeros(0)

Rows = NDArray[np.float64]
Drawn = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class BestLatents:
    """The best latent for each node, `[n_nodes]`; MISSING and NaN for nodes that were not tested."""

    latent: NDArray[np.int64]
    gain: Rows
    """Its AP gain on the images that chose it, at most 1: compare it with `NodeScores.chance`."""
    p: Rows
    """(1 + #{permutations whose best latent gains as much}) / (permutations + 1)."""


@dataclass(frozen=True, eq=False)
class NodeScores:
    """How well a layer tells each node of `distinct_nodes`, `[n_nodes]`.

    Nodes without images, or with half of them or more, are not tested.
    """

    best: BestLatents
    random: BestLatents
    """The same latents over images dealt at random: they fire as often, and together, without regard to class."""
    chance: Rows
    """Mean gain of the best latent under permuted labels."""
    probe_gain: Rows
    """AP gain of a linear probe on the activations; NaN where none was fitted."""


def node_scores(
    taxonomy: Taxonomy,
    data: LabelledScores,
    probe_gain: Rows | None = None,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
) -> NodeScores:
    """Scores of a layer; the same seed deals and permutes alike in every layer."""
    nodes = distinct_nodes(taxonomy)
    tested = np.isin(nodes, candidate_nodes(taxonomy, data))
    members, counts = taxonomy.members[nodes[tested]], data.under(taxonomy.members[nodes[tested]])
    found, nulls = [_NOTHING] * 2, {}
    if len(members):
        by_chance = _chance_gains(data, counts, permutations, seed)
        dealt = np.random.default_rng([seed, 1]).permutation(data.labels)
        found, nulls = best_gains(data, members, [dealt], by_chance.rank), by_chance.best()
    best, random = (_best_latents(*one, counts, tested, nulls) for one in found)
    unknown = np.full(len(nodes), np.nan)
    chance = unknown.copy()
    chance[tested] = np.interp(counts, list(nulls), [null.mean() for null in nulls.values()]) if nulls else []
    return NodeScores(best, random, chance, unknown if probe_gain is None else probe_gain)


def _best_latents(
    latents: NDArray[np.int64],
    gains: Rows,
    counts: NDArray[np.int64],
    tested: NDArray[np.bool_],
    nulls: dict[int, Rows],
) -> BestLatents:
    latent = np.full(len(tested), MISSING)
    gain, p = np.full(len(tested), np.nan), np.full(len(tested), np.nan)
    if len(latents):
        latent[tested], gain[tested], p[tested] = latents, gains, _p_values(gains, counts, nulls)
    return BestLatents(latent, gain, p)


def _p_values(gain: Rows, counts: NDArray[np.int64], nulls: dict[int, Rows]) -> Rows:
    """gain, counts `[n]`: the larger of the p-values of the two numbers of images on either side of the node's."""
    sizes = np.array(list(nulls))
    by_size = [(1 + (null[:, None] >= gain - _ROUNDING).sum(axis=0)) / (1 + len(null)) for null in nulls.values()]
    above = np.searchsorted(sizes, counts)
    below = np.searchsorted(sizes, counts, side="right") - 1
    each, p = np.arange(len(gain)), np.stack(by_size)
    return np.maximum(p[above, each], p[below, each])


def _null_sizes(counts: Iterable[int]) -> list[int]:
    every = sorted({int(number) for number in counts})
    sizes: list[int] = []
    for number in every:
        if not sizes or number >= _GROWTH * sizes[-1] or number == every[-1]:
            sizes.append(number)
    return sizes


def _chance_gains(data: LabelledScores, counts: Iterable[int], permutations: int, seed: int) -> _ChanceGains:
    """For some of the numbers of images in `counts`, the smallest and the largest among them."""
    sizes, n, random = _null_sizes(counts), len(data.labels), np.random.default_rng(seed)
    rows = [random.choice(n, sizes[-1], replace=False).astype(np.int32) for _ in range(permutations)]
    return _ChanceGains(data, np.stack(rows), sizes)


class _ChanceGains:
    """What the best latent gains when the images under a node are the first of `drawn [permutations, *]`.

    AP is taken of the latents with the largest linear parts. Every latent is ranked a second time for it, as the ranks
    of all would fill the memory.
    """

    def __init__(self, data: LabelledScores, drawn: Drawn, sizes: list[int]) -> None:
        self.n, self.drawn, self.sizes = len(data.labels), drawn, sizes
        latents = _largest_linear(data, drawn, sizes)
        size, self.draw, _ = (part.ravel() for part in np.indices(latents.shape))
        self.number, self.precisions = np.array(sizes)[size], np.empty(latents.shape)
        ends = np.bincount(latents.ravel(), minlength=data.scores.shape[1]).cumsum()
        self.own = np.split(latents.argsort(axis=None, kind="stable"), ends[:-1])

    def rank(self, latent: int, ranked: Ranking) -> None:
        """Take the AP of a latent for all drawn images that it may be the best for."""
        from hsae.measures.wordnet.kernels import drawn_precisions  # only here: importing numba takes time

        own = self.own[latent]
        found = np.empty(len(own))
        drawn_precisions(ranked.places, self.drawn, self.draw[own], self.number[own], found)
        self.precisions.ravel()[own] = found

    def best(self) -> dict[int, Rows]:
        """Gain of the best latent `[permutations]` for each number of images, which rise."""
        best, share = self.precisions.max(axis=2), np.array(self.sizes)[:, None] / self.n
        return dict(zip(self.sizes, (best - share) / (1 - share), strict=True))


def _largest_linear(data: LabelledScores, drawn: Drawn, sizes: list[int]) -> NDArray[np.int32]:
    """The latents with the largest linear part of AP for each number and permutation, `[.., .., up to 32]`."""
    from hsae.measures.wordnet.kernels import keep_largest

    n, n_latents = data.scores.shape
    few = sum(size <= _FEW * n for size in sizes)
    parts = _LinearParts(drawn, sizes, few, n)
    best = np.full((len(sizes), len(drawn), min(_SORTED, n_latents)), -np.inf, np.float32)
    latent = np.zeros(best.shape, np.int32)

    def keep(linear: NDArray[np.float32], first: int, rows: slice) -> None:
        for one, kept, numbers in zip(linear, best[rows], latent[rows], strict=True):
            keep_largest(one, first, kept, numbers)

    places, start = np.empty((_BLOCK, n), np.int32), 0
    for number, (own, linear) in zip(count(0, COLUMNS), data.blocks(parts.of_few)):
        keep(linear, number, slice(few))
        stop = number + len(own)
        places[number - start : stop - start] = own
        if stop - start == _BLOCK or stop == n_latents:
            keep(parts.of_many(torch.from_numpy(places[: stop - start])), start, slice(few, None))
            start = stop
    return latent


class _LinearParts:
    """Linear parts of AP of the first few, and of the first many, of the images that every permutation draws."""

    def __init__(self, drawn: Drawn, sizes: list[int], few: int, n: int) -> None:
        self.drawn, self.few, self.many = torch.from_numpy(drawn), np.array([0, *sizes[:few]]), sizes[few:]
        self.first = self.drawn[:, : self.few[-1]].ravel()
        starts = np.arange(len(drawn))[:, None] * self.few[-1] + self.few[:-1]
        self.starts = torch.from_numpy(starts.ravel().astype(np.int32))
        place = np.arange(1, n + 1)
        self.weights = np.stack([1 / place, np.log(n / place)], axis=1).astype(np.float32)
        dtype = torch.bfloat16 if multiplies_bfloat16() else torch.float32  # it only says which latents are sorted
        self.under = torch.zeros(len(drawn), n if self.many else 0, dtype=dtype)
        if self.many:
            self._draw(0, self.many[0], 1)

    def of_few(self, scores: NDArray[np.float32]) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Of scores `[n_latents, n]` the places, and parts `[n_few, permutations, n_latents]`."""
        from hsae.measures.wordnet.kernels import weigh_places

        n_latents, n = scores.shape
        places, found = np.empty((n_latents, n), np.int32), []
        for start in range(0, n_latents, _TOGETHER):
            part = range(start, min(start + _TOGETHER, n_latents))
            table = np.empty((n, 2 * len(part)), np.float32)
            for latent in part:
                ranked = ranking(scores[latent])
                places[latent] = ranked.places
                weigh_places(ranked.order, self.weights, table, 2 * (latent - start))
            found.append(self._sums(table))
        return places, np.concatenate(found, axis=2)

    def _sums(self, table: NDArray[np.float32]) -> NDArray[np.float32]:
        """Parts `[n_few, permutations, n_latents]` from both weights of every image `[n, 2 n_latents]`."""
        n_few, n = len(self.few) - 1, len(table)
        if not n_few:
            return np.empty((0, len(self.drawn), table.shape[1] // 2), np.float32)
        between = embedding_bag(self.first, torch.from_numpy(table), self.starts, mode="sum").numpy()
        sums = between.reshape(len(self.drawn), n_few, -1, 2).cumsum(axis=1).transpose(1, 0, 2, 3)
        share = (self.few[1:] / n).astype(np.float32)[:, None, None]
        return np.ascontiguousarray((1 - share) * sums[..., 0] + share * sums[..., 1])

    def of_many(self, places: Tensor) -> NDArray[np.float32]:
        """places `[n_latents, n]`: parts `[n_many, permutations, n_latents]`, less what all latents have in common."""
        (n_latents, n), taken = places.shape, self.many[0] if self.many else 0
        found = torch.empty(len(self.many), len(self.drawn), n_latents)
        for size, linear in zip(self.many, found, strict=True):
            self._draw(taken, size, 1)
            one, two = torch.from_numpy(self.weights).T
            weights = (1 - size / n) * one + size / n * two
            weights = (weights - weights.mean()).to(self.under.dtype)  # small sums are rounded less
            linear.copy_(self.under @ weights.index_select(0, places.ravel()).view(places.shape).T)
            taken = size
        if self.many:
            self._draw(self.many[0], taken, 0)
        return found.numpy()

    def _draw(self, start: int, stop: int, value: int) -> None:
        """Write `value` where an image is one of those that a permutation draws from `start` on, before `stop`."""
        for rows, images in zip(self.under.split(_ROWS), self.drawn.split(_ROWS), strict=True):
            rows.scatter_(1, images[:, start:stop].long(), value)
