"""Lowest common hypernym, coverage and best node for many class sets at once: one row per set, one column per class.

Nodes are given as positions in `taxonomy.nodes`, so `taxonomy.heights[position]` and the like follow; MISSING (-1)
stands where a row has no class at all. Nodes are sorted tightest first, so the LCH is the first node that holds the
row.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

from hsae.errors import InputError
from hsae.hierarchy.taxonomy import Taxonomy, spare_mass

MISSING = -1
_ROWS = 1024  # rows handled at once; bounds memory at some tens of MB


def lch_rows(taxonomy: Taxonomy, selected: np.ndarray) -> np.ndarray:
    """LCH of every row: bool [n, n_classes] -> node positions int [n], MISSING for empty rows."""
    selected = _check_rows(taxonomy, selected, bool)
    position = np.full(len(selected), MISSING)
    for rows in _chunks(len(selected)):
        row, column = selected[rows].nonzero()
        filled, first = np.unique(row, return_index=True)
        nodes, holders = _holders(taxonomy, 2 if (np.diff(first, append=len(row)) > 1).all() else 1)
        if len(filled):
            common = np.bitwise_and.reduceat(holders[column], first, axis=0)
            position[rows][filled] = nodes[_first_bit(common.view(np.uint8))]
    return position


def lch_q_rows(taxonomy: Taxonomy, mass: np.ndarray, q: float = 0.9) -> np.ndarray:
    """Tightest node holding the share q of a row's mass: [n, n_classes] >= 0 -> positions [n]; see Taxonomy.lch_q."""
    mass = _check_rows(taxonomy, mass, np.float64)
    return _first_holding(taxonomy, distinct_nodes(taxonomy), mass, spare_mass(mass, q))


def coverage_rows(taxonomy: Taxonomy, selected: np.ndarray) -> np.ndarray:
    """Coverage |S| / |L(LCH(S))| of every row: bool [n, n_classes] -> float [n] in (0, 1], NaN for empty rows."""
    position = lch_rows(taxonomy, selected)
    return at_nodes(np.asarray(selected).sum(axis=1) / taxonomy.leaf_counts[position], position)


def best_node_rows(taxonomy: Taxonomy, selected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Node whose L fits each row best by F1 = 2 |L ∩ S| / (|L| + |S|), and that F1: positions [n], float [n] in (0, 1].

    Jaccard = F1 / (2 - F1) grows with F1, so the same node is best by Jaccard. On a tie the tighter node wins.
    Empty rows give MISSING and NaN.
    """
    selected = _check_rows(taxonomy, selected, bool)
    nodes = distinct_nodes(taxonomy)
    members = taxonomy.members[nodes]
    position, f1 = np.full(len(selected), MISSING), np.full(len(selected), np.nan)
    for rows in _chunks(len(selected)):
        shared = selected[rows].astype(np.float32) @ members.T.astype(np.float32)
        sizes = taxonomy.leaf_counts[nodes] + selected[rows].sum(axis=1, keepdims=True)
        scores = 2.0 * shared / sizes
        best = scores.argmax(axis=1)
        position[rows], f1[rows] = nodes[best], np.take_along_axis(scores, best[:, None], axis=1)[:, 0]
    filled = selected.any(axis=1)
    return np.where(filled, position, MISSING), np.where(filled, f1, np.nan)


def at_nodes(values: np.ndarray, position: np.ndarray) -> np.ndarray:
    """`values` [n] as floats, NaN in the rows whose node position is MISSING."""
    return np.where(position == MISSING, np.nan, values)


def distinct_nodes(taxonomy: Taxonomy, at_least: int = 1) -> np.ndarray:
    """Positions of the tightest node of every class set of `at_least` classes: all that can be the LCH of so many."""
    large = np.flatnonzero(taxonomy.leaf_counts >= at_least)
    _, first = np.unique(np.packbits(taxonomy.members[large], axis=1), axis=0, return_index=True)
    return large[np.sort(first)]


@lru_cache(maxsize=8)
def _holders(taxonomy: Taxonomy, at_least: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct nodes, and for each class the bits of those above it: uint64 [n_classes, words]."""
    nodes = distinct_nodes(taxonomy, at_least)
    bits = np.packbits(taxonomy.members[nodes].T, axis=1)
    padded = np.pad(bits, ((0, 0), (0, -bits.shape[1] % 8)))
    return nodes, np.ascontiguousarray(padded).view(np.uint64)


def _first_bit(rows: np.ndarray) -> np.ndarray:
    """Number of the first set bit of each row of bytes, as np.packbits counts; every row has one."""
    byte = (rows != 0).argmax(axis=1)
    value = np.take_along_axis(rows, byte[:, None], axis=1)[:, 0]
    return 8 * byte + 7 - np.floor(np.log2(value)).astype(np.int64)


def _first_holding(taxonomy: Taxonomy, nodes: np.ndarray, mass: np.ndarray, spare: np.ndarray) -> np.ndarray:
    """First (tightest) of `nodes` of each row with no more than `spare` of the row's mass outside it."""
    # Mass outside, not inside: a sum of zeros is exactly 0, so "holds the whole set" needs no tolerance.
    not_members = (~taxonomy.members[nodes]).T.astype(mass.dtype)
    position = np.full(len(mass), MISSING)
    for rows in _chunks(len(mass)):
        holds = mass[rows] @ not_members <= spare[rows, None]
        position[rows] = nodes[holds.argmax(axis=1)]
    return np.where(mass.any(axis=1), position, MISSING)


def _chunks(n: int) -> Iterator[slice]:
    return (slice(start, start + _ROWS) for start in range(0, n, _ROWS))


def _check_rows(taxonomy: Taxonomy, rows: np.ndarray, dtype: type) -> np.ndarray:
    rows = np.asarray(rows)
    if rows.ndim != 2 or rows.shape[1] != len(taxonomy.classes):
        raise InputError(
            f"a matrix of shape {rows.shape}",
            f"[n, {len(taxonomy.classes)}], a column for every class of the taxonomy",
        )
    if dtype is bool and rows.dtype != bool:
        raise InputError(f"a selection of type {rows.dtype}", "bool", "Choose classes with select_classes first")
    return rows.astype(dtype, copy=False)
