"""The walkable tree has one node for each distinct set of classes, and every set lies inside its parent's."""

from __future__ import annotations

import random

import pytest

from hsae.hierarchy import Taxonomy
from hsae.hierarchy.branching import branching
from tests.hierarchy.conftest import NESTED, SMALL

FELINE = ("n02123045", "n02123394", "n02123597")  # tabby, Persian cat, Siamese cat


def test_cats_and_whales():
    tree = branching(Taxonomy([*FELINE, "n02066245", "n02071294"]))
    whale, cat = "n02062744", "n02121808"
    assert sorted(tree[whale]) == ["n02066245", "n02071294"]
    assert sorted(tree[cat]) == sorted(FELINE)
    root = next(reversed(tree))
    assert sorted(tree[root]) == sorted([whale, cat])
    assert len(tree) == 8


def test_one_class_is_a_tree_of_one():
    assert branching(Taxonomy(["n02123045"])) == {"n02123045": []}


@pytest.mark.parametrize("seed", range(5))
def test_every_set_once_inside_its_parent(seed):
    classes = random.Random(seed).sample(NESTED if seed % 2 else list(SMALL), 9)
    taxonomy = Taxonomy(classes)
    tree = branching(taxonomy)
    sets = {node: frozenset(taxonomy.classes_under(node)) for node in taxonomy.nodes}
    assert {sets[node] for node in tree} == set(sets.values())
    assert len(tree) == len(set(sets.values()))
    inner = [child for children in tree.values() for child in children]
    assert len(inner) == len(set(inner)) == len(tree) - 1
    for node, children in tree.items():
        for child in children:
            assert sets[child] < sets[node]
            between = [other for other in tree if sets[child] < sets[other] < sets[node]]
            assert not between
