"""Loops over ranked images, compiled: what a thousand nodes need of one ranking, in one walk from the strongest on.

A ranking is `order [n]`, images by falling score, and `ends [n]`, how many images score at least as much as each of
them. Images are under nodes by `labels [n]`, `start` and `above`, of uint32, which index without a look at their sign:
the nodes above class c are `above[start[c] : start[c + 1]]`. Nothing is checked here: every other array has int64 or
the type that is named, and numbers fit. The first call compiles (two seconds for all), and keeps what it compiled where
Python may write beside this file or into the user's cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numba import njit, types
from numba.extending import intrinsic
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Ints = NDArray[np.int64]
Indices = NDArray[np.uint32]
Rows = NDArray[np.float64]


def compiled(function: Function) -> Function:
    """Compile at the first call, without Python's lock; in every process again where nothing can be kept."""
    try:
        return njit(function, nogil=True, cache=True)
    except RuntimeError:  # neither this folder nor the user's cache can be written
        return njit(function, nogil=True)


@compiled
def falling_keys(scores: NDArray[np.float32], keys: Ints) -> None:
    """Into `keys` numbers that rise as scores fall; their lower 32 bits are the image, which decides equal scores."""
    bits = scores.view(np.int32)
    for i in range(len(scores)):
        # Floats above 0 rise like their bits and those below 0 fall; -0 is 0.
        above = ~bits[i] if bits[i] >= 0 else (bits[i] & 0x7FFFFFFF) - 1
        keys[i] = (np.int64(above) << 32) | i


@compiled
def read_ranking(keys: Ints, ends: Ints) -> None:
    """Turn sorted keys into the `order` and `ends` of a ranking."""
    end = len(keys)
    for i in range(len(keys) - 1, -1, -1):
        ends[i] = end
        if i and keys[i] >> 32 != keys[i - 1] >> 32:
            end = i
        keys[i] &= 0xFFFFFFFF


@compiled
def precision_sums(ranking: tuple[Ints, Ints], under: tuple[Indices, Indices, Indices], state: Rows) -> None:
    """Add to `state [n_nodes, 2]`: images under the node, and (those under it / all) that score at least as much.

    The second is summed over the images under the node. Both lie together, as every image reads and writes both.
    """
    (order, ends), (labels, start, above) = ranking, under
    first = 0
    while first < len(order):
        last = ends[first]
        share = 1.0 / last
        if last == first + 1:  # hardly any scores are equal
            c = labels[order[first]]
            for k in range(start[c], start[c + 1]):
                hits = state[above[k], 0] + 1
                state[above[k], 0] = hits
                state[above[k], 1] += hits * share
            first = last
            continue
        for i in range(first, last):
            c = labels[order[i]]
            for k in range(start[c], start[c + 1]):
                state[above[k], 0] += 1
        for i in range(first, last):
            c = labels[order[i]]
            for k in range(start[c], start[c + 1]):
                state[above[k], 1] += state[above[k], 0] * share
        first = last


@compiled
def best_cuts(
    ranking: tuple[Ints, Ints],
    under: tuple[Indices, Indices, Indices],
    fewest: int,
    positives: Rows,
    best: Rows,
    said: Ints,
) -> None:
    """The largest (n hits - said P) / sqrt(said (n - said)) of each node into `best`, and how many it says into `said`.

    Tried are the scores of images under the node, saying `fewest` images at least; the first of equal ones.
    """
    (order, ends), (labels, start, above) = ranking, under
    n = len(order)
    hits = np.zeros(len(best))  # times n
    first = 0
    while first < n:
        last = ends[first]
        for i in range(first, last):
            c = labels[order[i]]
            for k in range(start[c], start[c + 1]):
                hits[above[k]] += n
        cut = max(last, fewest)
        spread = 1 / np.sqrt(float(cut) * (n - cut)) if cut < n else 0.0
        for i in range(first, last):
            c = labels[order[i]]
            for k in range(start[c], start[c + 1]):
                node = above[k]
                value = (hits[node] - cut * positives[node]) * spread
                if value > best[node]:
                    best[node] = value
                    said[node] = cut
        first = last


def _count_zeros(context: Any, bits: Any) -> Any:
    def build(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], context.get_constant(types.boolean, True))

    return types.int64(types.uint64), build


_trailing_zeros: Any = intrinsic(_count_zeros)
"""Of a word that is not 0: one instruction, which Python has no name for."""


@compiled
def drawn_precisions(
    places: NDArray[np.int32], drawn: NDArray[np.int32], draws: Ints, sizes: Ints, found: Rows
) -> None:
    """AP into `found`, for each of `draws`, when the images under a node are the first `sizes` of `drawn[draw]`.

    places `[n]` of all images, 0 for the strongest. Those drawn are sorted as bits, which are read from the lowest on.
    """
    words = np.zeros(len(places) // 64 + 1, np.uint64)
    for i in range(len(draws)):
        for image in drawn[draws[i], : sizes[i]]:
            words[places[image] >> 6] |= np.uint64(1) << np.uint64(places[image] & 63)
        hits = 0
        total = 0.0
        for w in range(len(words)):
            left = words[w]
            while left != 0:
                hits += 1
                total += hits / (64 * w + _trailing_zeros(left) + 1)
                left &= left - np.uint64(1)
            words[w] = 0
        found[i] = total / hits


@compiled
def weigh_places(order: Ints, weights: NDArray[np.float32], table: NDArray[np.float32], column: int) -> None:
    """Into two columns of `table [n, *]`, from `column` on, both `weights [n, 2]` of the place of every image."""
    for i in range(len(order)):
        table[order[i], column] = weights[i, 0]
        table[order[i], column + 1] = weights[i, 1]


@compiled
def keep_largest(
    values: NDArray[np.float32], first: int, kept: NDArray[np.float32], numbers: NDArray[np.int32]
) -> None:
    """Put what is larger in `values [rows, k]` in place of the least in `kept [rows, *]`; `first` is k 0's number."""
    for r in range(len(values)):
        least = kept[r].argmin()
        for k in range(values.shape[1]):
            if values[r, k] > kept[r, least]:
                kept[r, least], numbers[r, least] = values[r, k], first + k
                least = kept[r].argmin()


@compiled
def weighted_products(scores: Any, own: Ints, mean: Rows, std: Rows, weights: Rows, products: Any) -> None:
    """Add to `products [k + 1, k + 1]` those of k rows of `scores [*, n_images]`, standardised, and a row of ones.

    Summed over images, which weigh `weights [n_images]`.
    """
    z = np.ones(len(own) + 1)
    for i in range(len(weights)):
        for a in range(len(own)):
            z[a] = (scores[own[a], i] - mean[a]) / std[a]
        for a in range(len(z)):
            weighed = weights[i] * z[a]
            for b in range(len(z)):
                products[a, b] += weighed * z[b]


@compiled
def linear_combinations(scores: NDArray[np.float32], own: Ints, weights: Any, bias: Rows, found: Any) -> None:
    """Sums of k rows of `scores [*, n_images]` by `weights [k, n]`, and `bias [n]`, into `found [n, n_images]`."""
    for column in range(len(bias)):
        for i in range(found.shape[1]):
            total = bias[column]
            for a in range(len(own)):
                total += weights[a, column] * scores[own[a], i]
            found[column, i] = total
