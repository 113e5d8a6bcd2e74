"""The best latent of a layer for every WordNet node, and how good the best of them is by chance.

The best latent has the largest AP gain (`hsae.measures.wordnet.nodes`), and that of many is large by chance. Permuted
labels make the images under a node any images, so the best gain that they leave depends on how many these are: one
permutation, whose first P images are those of a node of P, serves all nodes, and all latents are read on the same
images. Each number of images is at most twice the one before; between two of them a node takes the larger p-value,
since the gain's quantiles fall with the number, while single images decide, and then rise with the share.

Every latent would have to be sorted for every permutation. The part of AP that is linear in the images,
    sum over the images under the node of (1 - pi) / rank + pi log(n / rank),
is one matrix product for all of them; AP itself is taken of the latents for which that is largest.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hsae.hierarchy.lch import MISSING, distinct_nodes
from hsae.hierarchy.taxonomy import Taxonomy
from hsae.measures.wordnet.nodes import LabelledScores, best_gains, candidate_nodes

PERMUTATIONS = 1000
_GROWTH = 2  # from one number of drawn images to the next, at most
_SORTED = 32  # latents for a permutation
_BLOCK = 1024  # latents in one product
_ROUNDING = 1e-6
_NOTHING = np.zeros(0, dtype=np.int64), np.zeros(0)

Rows = NDArray[np.float64]


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
    nulls = best_gains_by_chance(data, counts, permutations, seed)
    dealt = np.random.default_rng([seed, 1]).permutation(data.labels)
    found = best_gains(data, members, [dealt]) if len(members) else [_NOTHING] * 2
    best, random = (_best_latents(*one, counts, tested, nulls) for one in found)
    unknown = np.full(len(nodes), np.nan)
    chance = unknown.copy()
    chance[tested] = np.interp(counts, list(nulls), [null.mean() for null in nulls.values()]) if nulls else []
    return NodeScores(best, random, chance, unknown if probe_gain is None else probe_gain)


def best_gains_by_chance(
    data: LabelledScores, counts: Iterable[int], permutations: int = PERMUTATIONS, seed: int = 0
) -> dict[int, Rows]:
    """AP gain of the best latent for randomly drawn images, `[permutations]`, for some of the numbers in `counts`.

    Rising; among them the smallest and the largest, and the others at least twice as large as the one before.
    """
    sizes, n = _null_sizes(counts), len(data.labels)
    if not sizes:
        return {}
    ranks, generator = _ranks(data), np.random.default_rng(seed)
    drawn = np.stack([generator.choice(n, sizes[-1], replace=False) for _ in range(permutations)])
    return {size: _best_gains(ranks, drawn[:, :size]) for size in sizes}


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
    every = sorted({int(count) for count in counts})
    sizes: list[int] = []
    for count in every:
        if not sizes or count >= _GROWTH * sizes[-1] or count == every[-1]:
            sizes.append(count)
    return sizes


def _ranks(data: LabelledScores) -> NDArray[Any]:
    """Place of every image when those of the largest score come first, from 1 on: `[n_latents, n_images]`."""
    n = len(data.labels)
    places = np.arange(1, n + 1, dtype=np.uint16 if n < 2**16 else np.uint32)  # narrow numbers sort faster
    ranks = np.empty((data.scores.shape[1], n), places.dtype)
    for latent, order in enumerate(data.each(lambda scores: np.argsort(-scores))):
        ranks[latent, order] = places
    return ranks


def _best_gains(ranks: NDArray[Any], drawn: NDArray[np.int64]) -> Rows:
    """Best AP gain `[permutations]` when the images under a node are the rows of `drawn [permutations, P]`."""
    share = drawn.shape[1] / ranks.shape[1]
    hits = np.arange(1, drawn.shape[1] + 1, dtype=np.float32)
    best = [
        (hits / np.sort(ranks[latents[:, None], images], axis=1)).mean(axis=1).max()
        for latents, images in zip(_largest_linear(ranks, drawn), drawn, strict=True)
    ]
    return (np.array(best, dtype=float) - share) / (1 - share)


def _largest_linear(ranks: NDArray[Any], drawn: NDArray[np.int64]) -> NDArray[np.int64]:
    """The latents with the largest linear part of AP for each permutation, `[permutations, up to 32]`."""
    (n_latents, n), share = ranks.shape, drawn.shape[1] / ranks.shape[1]
    under = np.zeros((n, len(drawn)), np.float32)
    under[drawn.T, np.arange(len(drawn))] = 1
    place = np.arange(1, n + 1)
    weights = np.append(0, (1 - share) / place + share * np.log(n / place)).astype(np.float32)
    linear = np.concatenate([weights[ranks[at : at + _BLOCK]] @ under for at in range(0, n_latents, _BLOCK)])
    kept = min(_SORTED, n_latents)
    return np.argpartition(-linear.T, kept - 1, axis=1)[:, :kept]
