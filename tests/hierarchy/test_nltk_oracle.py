"""Our taxonomy against nltk: other reader, other algorithm (all root paths are enumerated, nothing is ordered)."""

from __future__ import annotations

import itertools
from collections import defaultdict
from functools import reduce

import numpy as np
import pytest

from hsae.hierarchy import Taxonomy, wordnet


class PathOracle:
    """Class counts, heights and LCH of a class list, from nltk's root paths."""

    def __init__(self, reader, classes) -> None:
        self.reader = reader
        self.paths = {c: [[wnid(s) for s in path] for path in self.synset(c).hypernym_paths()] for c in classes}
        self.ancestors = {c: set(itertools.chain(*paths)) for c, paths in self.paths.items()}
        self.leaves = defaultdict(set)
        for c, nodes in self.ancestors.items():
            for node in nodes:
                self.leaves[node].add(c)
        self.height, self.contracted = defaultdict(int), defaultdict(int)
        for path in itertools.chain(*self.paths.values()):
            sizes = [len(self.leaves[node]) for node in path]
            for at, node in enumerate(path):
                self.height[node] = max(self.height[node], len(path) - 1 - at)
                self.contracted[node] = max(self.contracted[node], len(set(sizes[at:])) - 1)

    def synset(self, name: str):
        return self.reader.synset_from_pos_and_offset("n", int(name[1:]))

    def key(self, node: str) -> tuple[int, int, str]:
        return len(self.leaves[node]), self.height[node], node

    def lch(self, wnids) -> str:
        return min(set.intersection(*(self.ancestors[c] for c in wnids)), key=self.key)


def wnid(synset) -> str:
    return f"n{synset.offset():08d}"


@pytest.fixture(scope="module", params=["small", "nested", "tiny200", "imagenet1k"])
def pair(request, nltk_wordnet) -> tuple[Taxonomy, PathOracle]:
    own = request.param in ("small", "nested")
    taxonomy = request.getfixturevalue(request.param) if own else request.getfixturevalue("taxonomies")[request.param]
    return taxonomy, PathOracle(nltk_wordnet, taxonomy.classes)


def test_every_node_has_nltks_class_count_and_heights(pair) -> None:
    taxonomy, oracle = pair
    assert set(taxonomy.nodes) == set(oracle.leaves)
    for node in taxonomy.nodes:
        assert set(taxonomy.classes_under(node)) == oracle.leaves[node]
        assert taxonomy.height(node) == oracle.height[node]
        assert taxonomy.contracted_height(node) == oracle.contracted[node]


def test_random_and_local_sets_meet_where_nltks_paths_meet(pair) -> None:
    taxonomy, oracle = pair
    random = np.random.default_rng(1)
    for _ in range(500):
        node = taxonomy.nodes[random.integers(len(taxonomy.nodes))]
        local = taxonomy.classes_under(node)
        for pool in (taxonomy.classes, local):
            chosen = random.choice(pool, size=min(len(pool), random.integers(1, 8)), replace=False).tolist()
            assert taxonomy.lch(chosen) == oracle.lch(chosen)


def test_folding_nltks_pairs_depends_on_the_order_and_ours_does_not(small, nltk_wordnet) -> None:
    def fold(names) -> str:
        synsets = (nltk_wordnet.synset_from_pos_and_offset("n", int(name[1:])) for name in names)
        return wnid(reduce(lambda a, b: a.lowest_common_hypernyms(b)[0], synsets))

    orders = list(itertools.permutations(["n03478589", "n04389033", "n04552348"]))  # half track, tank, warplane
    assert {fold(order) for order in orders} == {"n03764276", "n04524313"}  # military vehicle, vehicle
    assert {small.lch(order) for order in orders} == {"n03764276"}


def test_the_packaged_table_is_what_nltk_reads(nltk_wordnet) -> None:
    graph = wordnet()
    for name in list(graph)[::50]:
        synset = nltk_wordnet.synset_from_pos_and_offset("n", int(name[1:]))
        assert graph.lemmas(name) == tuple(lemma.replace("_", " ") for lemma in synset.lemma_names())
        assert synset.definition().startswith(graph.gloss(name))  # nltk keeps the names of quoted authors
        above = synset.hypernyms() + synset.instance_hypernyms()
        assert sorted(graph.parents(name)) == sorted(map(wnid, above))
        below = synset.hyponyms() + synset.instance_hyponyms()
        assert graph.children(name) == tuple(sorted(map(wnid, below)))
        assert len(graph.path(name)) - 1 == synset.max_depth()


@pytest.mark.slow
def test_nltk_finds_the_same_nouns_by_any_of_their_words(nltk_wordnet) -> None:
    graph = wordnet()
    words = [word for name in list(graph)[::300] for word in graph.lemmas(name)]
    assert len(words) > 400
    for word in words:
        theirs = nltk_wordnet.synsets(word.replace(" ", "_"), pos="n")
        same = {wnid(s) for s in theirs if word.lower() in (w.lower().replace("_", " ") for w in s.lemma_names())}
        assert sorted(graph.named(word)) == sorted(same)


def test_synonyms_are_nltks_other_words(nltk_wordnet) -> None:
    graph = wordnet()
    for name in list(graph)[::50]:
        first, *others = nltk_wordnet.synset_from_pos_and_offset("n", int(name[1:])).lemma_names()
        assert graph.synonyms(name) == tuple(word.replace("_", " ") for word in others)
        assert graph.name(name) == first.replace("_", " ")
