"""The part of WordNet above a list of classes, and where a set of those classes meets in it.

Definitions (all depend on the class list, so never compare numbers made with different lists):
    closure       every reflexive ancestor of a class along hypernym and instance-hypernym links
    L(a)          the classes under node a, a itself included if it is a class
    height h(a)   edges on the longest downward path from a to a class; 0 for a node with nothing below it
    contracted    most steps on a downward path at which L gets strictly smaller; single-child chains add nothing
    LCH(S)        lowest common hypernym: the common ancestor of S with the least (|L|, h, offset)
    coverage      |S| / |L(LCH(S))|, in (0, 1]
A class may have other classes below it ("dog" beside "beagle"): it then has height > 0, its L holds those classes too,
and as a set of one its LCH is itself with coverage < 1. The names are those of Olson et al. (arXiv 2505.15970), which
gives no formulas we could read; these definitions are this project's own.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from hsae.errors import InputError, LabelError
from hsae.hierarchy.wordnet import wordnet

# Rounding may put a mass share of exactly q just below q; relative, so that q = 1 still allows nothing outside.
ROUNDING = 1e-9


class Taxonomy:
    """Closure of a list of WordNet ids; LabelError if one is unknown or the list is empty, repeated ids are ignored.

    classes             the classes in the order given: the columns of every class matrix
    nodes               all synsets of the closure, tightest first: by (|L|, height, offset); the root is the last one
    members             bool [n_nodes, n_classes], members[i, j]: class j is in L(nodes[i])
    leaf_counts, heights, contracted_heights    int [n_nodes], in the order of `nodes`
    """

    def __init__(self, classes: Iterable[str]) -> None:
        self.classes = tuple(dict.fromkeys(classes))
        if not self.classes:
            raise LabelError("the class list is empty", "at least one WordNet id")
        wordnet().require(self.classes)
        closure = frozenset().union(*map(wordnet().ancestors, self.classes))
        self._ancestors = {node: wordnet().ancestors(node) for node in closure}
        leaves = _count_classes(self.classes, self._ancestors)
        heights, contracted = _measure_heights(leaves, self._ancestors)
        self.nodes = tuple(sorted(closure, key=lambda node: (leaves[node], heights[node], node)))
        self._position = {node: position for position, node in enumerate(self.nodes)}
        self._column = {wnid: column for column, wnid in enumerate(self.classes)}
        self.leaf_counts = _freeze([leaves[node] for node in self.nodes])
        self.heights = _freeze([heights[node] for node in self.nodes])
        self.contracted_heights = _freeze([contracted[node] for node in self.nodes])
        self.members = _freeze(self._membership())

    def __repr__(self) -> str:
        return f"Taxonomy({len(self.classes)} classes, {len(self.nodes)} nodes)"

    def __contains__(self, node: object) -> bool:
        """Whether a node is above any of the classes, or one of them."""
        return node in self._position

    @property
    def root(self) -> str:
        """The one node above all classes that every other node is under: entity, n00001740."""
        return self.nodes[-1]

    @property
    def rules(self) -> dict[str, str | int]:
        """Definitions to state beside results: class list (count, hash), tie rule, kinds of height."""
        return {
            "n_classes": len(self.classes),
            "classes_sha256": hashlib.sha256("\n".join(sorted(self.classes)).encode()).hexdigest(),
            "taxonomy": "WordNet 3.0 nouns, hypernym and instance-hypernym links",
            "lch": "common ancestor with the fewest classes, then the least height, then the lowest offset",
            "height": "longest downward path to a class",
            "contracted_height": "longest chain of strictly shrinking class sets",
        }

    def position(self, node: str) -> int:
        """Row of `node` in `nodes`, `members`, `heights` ...; LabelError if it is not in the closure."""
        if node not in self._position:
            raise LabelError(f"{node!r} is not above any of the {len(self.classes)} classes", "a node of this taxonomy")
        return self._position[node]

    def columns(self, wnids: Iterable[str]) -> list[int]:
        """Columns of the distinct classes `wnids`; LabelError naming those outside the class list."""
        wanted = tuple(dict.fromkeys(wnids))
        unknown = [wnid for wnid in wanted if wnid not in self._column]
        if unknown:
            raise LabelError(
                f"not in the class list: {', '.join(map(repr, unknown))}",
                f"some of the {len(self.classes)} classes of this taxonomy",
            )
        return [self._column[wnid] for wnid in wanted]

    def leaf_count(self, node: str) -> int:
        """|L(node)|: number of classes under the node, itself included."""
        return int(self.leaf_counts[self.position(node)])

    def height(self, node: str) -> int:
        """Edges on the longest downward path from the node to a class, 0 .. height(root)."""
        return int(self.heights[self.position(node)])

    def contracted_height(self, node: str) -> int:
        """Height that counts only steps at which the set of classes gets strictly smaller, 0 .. height(node)."""
        return int(self.contracted_heights[self.position(node)])

    def classes_under(self, node: str) -> tuple[str, ...]:
        """L(node), in the order of `classes`."""
        return tuple(self.classes[column] for column in np.flatnonzero(self.members[self.position(node)]))

    def children(self, node: str) -> tuple[str, ...]:
        """Nodes of the closure one step below, tightest first."""
        self.position(node)
        return tuple(sorted((c for c in wordnet().children(node) if c in self._position), key=self.position))

    def branches_above(self, node: str, last: int = 4) -> tuple[str, ...]:
        """The nodes on the way from the root to a node at which the list of classes branches: the last ones, tightest
        last, without the node."""
        way = wordnet().path(node)
        counts = [self.leaf_count(above) for above in way]
        return tuple(above for above, here, below in zip(way, counts, counts[1:], strict=False) if here > below)[-last:]

    def lch(self, wnids: Iterable[str]) -> str | None:
        """The lowest common hypernym of a set of classes; None for the empty set. Order and repeats do not matter."""
        return min(self._common(wnids), key=self.position, default=None)

    def minimal_common_hypernyms(self, wnids: Iterable[str]) -> tuple[str, ...]:
        """Every common ancestor with no other common ancestor below it, the LCH first; () for the empty set."""
        common = self._common(wnids)
        above_another = {above for node in common for above in self._ancestors[node] - {node}}
        return tuple(sorted(common - above_another, key=self.position))

    def coverage(self, wnids: Iterable[str]) -> float:
        """Ontological coverage |S| / |L(LCH(S))|, in (0, 1]; NaN for the empty set."""
        chosen = dict.fromkeys(wnids)
        lch = self.lch(chosen)
        return math.nan if lch is None else len(chosen) / self.leaf_count(lch)

    def lch_q(self, mass: Mapping[str, float], q: float = 0.9) -> str | None:
        """The tightest node that holds the share q of the mass: argmin (|L|, h, offset) over m(L(a)) >= q m(all).

        mass: wnid -> non-negative weight (mean activation or firing rate of a latent on the class), of any total.
        q in (0, 1]; 1 gives the LCH of the classes with mass > 0. None if there is no mass.
        """
        row = np.zeros(len(self.classes))
        row[self.columns(mass)] = list(mass.values())
        spare = spare_mass(row, q)
        outside = ~self.members @ row
        return self.nodes[int(np.argmax(outside <= spare))] if row.any() else None

    @cached_property
    def ancestry(self) -> np.ndarray:
        """Bool [n_nodes, n_nodes]: [i, j] where nodes[i] is a proper ancestor of nodes[j]."""
        above = np.zeros((len(self.nodes),) * 2, dtype=bool)
        for node, ancestors in self._ancestors.items():
            above[[self._position[a] for a in ancestors - {node}], self._position[node]] = True
        return _freeze(above)

    def _membership(self) -> np.ndarray:
        members = np.zeros((len(self.nodes), len(self.classes)), dtype=bool)
        for column, wnid in enumerate(self.classes):
            members[[self._position[node] for node in self._ancestors[wnid]], column] = True
        return members

    def _common(self, wnids: Iterable[str]) -> frozenset[str]:
        columns = self.columns(wnids)
        return frozenset.intersection(*(self._ancestors[self.classes[c]] for c in columns)) if columns else frozenset()


def spare_mass(mass: np.ndarray, q: float) -> np.ndarray:
    """Mass that may lie outside a node holding the share q: (1 - q) * total over the last axis; else InputError."""
    if not 0 < q <= 1:
        raise InputError(f"q is {q}", "a share in (0, 1]")
    if not np.all(np.isfinite(mass) & (mass >= 0)):
        raise InputError("a class has a negative or non-finite mass", "mean activations or firing rates, all >= 0")
    return (1 - q) * mass.sum(axis=-1) * (1 + ROUNDING)


def _count_classes(classes: tuple[str, ...], ancestors: Mapping[str, frozenset[str]]) -> dict[str, int]:
    counts = dict.fromkeys(ancestors, 0)
    for wnid in classes:
        for node in ancestors[wnid]:
            counts[node] += 1
    return counts


def _measure_heights(
    leaves: Mapping[str, int], ancestors: Mapping[str, frozenset[str]]
) -> tuple[dict[str, int], dict[str, int]]:
    """Plain and contracted height of every node."""
    heights, contracted = dict.fromkeys(ancestors, 0), dict.fromkeys(ancestors, 0)
    # A child has strictly more ancestors than any of its parents, so this order finishes children first.
    for node in sorted(ancestors, key=lambda node: -len(ancestors[node])):
        for parent in wordnet().parents(node):
            shrinks = leaves[node] < leaves[parent]
            heights[parent] = max(heights[parent], heights[node] + 1)
            contracted[parent] = max(contracted[parent], contracted[node] + shrinks)
    return heights, contracted


def _freeze(values: ArrayLike) -> np.ndarray:
    array = np.asarray(values)
    array.setflags(write=False)
    return array
