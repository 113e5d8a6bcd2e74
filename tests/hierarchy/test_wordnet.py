from __future__ import annotations

import itertools
import time
from pathlib import Path

import numpy as np
import pytest

import hsae.hierarchy
from hsae.errors import ArtifactError, InputError, LabelError
from hsae.hierarchy import WordNet, wordnet

FOLDER = Path(hsae.hierarchy.__file__).parent
DOG, CANINE, DOMESTIC_ANIMAL, TABBY, DOMESTIC_CAT = "n02084071", "n02083346", "n01317541", "n02123045", "n02121808"
ROOT = "n00001740"


def test_all_nouns_are_there_with_one_root() -> None:
    graph = wordnet()
    parents = {wnid: graph.parents(wnid) for wnid in graph}
    assert len(parents) == len(graph) == 82_115
    assert [wnid for wnid, above in parents.items() if not above] == [ROOT]
    assert sum(len(above) > 1 for above in parents.values()) == 2213  # counted in data.noun, instance links included


def test_a_synset_has_words_definition_and_links() -> None:
    graph = wordnet()
    assert graph.name(DOMESTIC_CAT) == "domestic cat"
    assert graph.lemmas(DOMESTIC_CAT) == ("domestic cat", "house cat", "Felis domesticus", "Felis catus")
    assert graph.gloss(DOMESTIC_CAT).startswith("any domesticated member of the genus Felis")
    assert graph.parents(DOG) == (CANINE, DOMESTIC_ANIMAL)
    assert TABBY in graph.children(DOMESTIC_CAT)
    assert DOG in wordnet()
    assert "dog" not in wordnet()


def test_instances_hang_below_their_class() -> None:
    mars = wordnet().search("Red Planet")[0]
    above = ["terrestrial planet", "superior planet"]
    assert [wordnet().name(parent) for parent in wordnet().parents(mars)] == above


def test_children_invert_parents() -> None:
    graph = wordnet()
    for wnid in list(graph)[::997]:
        assert all(wnid in graph.children(parent) for parent in graph.parents(wnid))
        assert all(wnid in graph.parents(child) for child in graph.children(wnid))


def test_ancestors_are_reflexive_and_follow_every_parent() -> None:
    ancestors = wordnet().ancestors(DOG)
    assert {DOG, CANINE, DOMESTIC_ANIMAL, ROOT} <= ancestors
    assert ancestors == {DOG} | wordnet().ancestors(CANINE) | wordnet().ancestors(DOMESTIC_ANIMAL)


def test_path_is_the_longest_chain_from_the_root() -> None:
    path = wordnet().path(DOG)
    assert path[0] == ROOT
    assert path[-2:] == (CANINE, DOG)  # over carnivore, 13 steps; over domestic animal it would be 8
    assert len(path) == 14
    assert all(above in wordnet().parents(below) for above, below in itertools.pairwise(path))


def test_search_puts_the_exact_word_first_and_respects_the_limit() -> None:
    search = wordnet().search
    assert search("dog")[0] == DOG
    assert search("House_Cat ") == (DOMESTIC_CAT,)
    assert search("crane", limit=2) == ("n02012849", "n03126707")  # the bird and the machine share their name
    assert len(search("a", limit=7)) == 7
    assert search("fire eng") == ("n03345487",)
    assert search("") == search("no such word at all") == ()
    with pytest.raises(InputError, match="limit is 0"):
        search("dog", limit=0)


def test_a_noun_is_found_by_any_of_its_words_whatever_the_case() -> None:
    named = wordnet().named
    assert named("Felis catus") == named("HOUSE_CAT") == (DOMESTIC_CAT,)
    assert named("crane")[:2] == ("n02012849", "n03126707")  # ambiguous: the bird, the machine, and people
    assert len(named("crane")) == 5
    assert named("house ca") == named(" ") == ()  # no part of a word, as a search would
    assert wordnet().search("house ca") == (DOMESTIC_CAT,)


def test_synonyms_are_the_words_beside_the_name() -> None:
    assert wordnet().synonyms(DOMESTIC_CAT) == ("house cat", "Felis domesticus", "Felis catus")
    assert wordnet().synonyms(ROOT) == ()


@pytest.mark.parametrize("method", ["name", "lemmas", "synonyms", "gloss", "parents", "children", "ancestors", "path"])
@pytest.mark.parametrize("wnid", ["n99999999", "n00001741", "dog", "v00001740", "n1740", "n02084071 "])
def test_unknown_ids_are_named(method: str, wnid: str) -> None:
    with pytest.raises(LabelError, match=wnid):
        getattr(wordnet(), method)(wnid)


def test_require_lists_all_unknown_ids_and_only_those() -> None:
    wordnet().require([DOG, TABBY])
    with pytest.raises(LabelError, match="unknown WordNet ids: 'cat', 'n00000000'") as error:
        wordnet().require(["cat", DOG, "n00000000"])
    assert DOG not in str(error.value).split(".")[0]


def test_the_table_is_small_loads_lazily_and_holds_no_pickle() -> None:
    table = FOLDER / "wordnet.npz"
    assert table.stat().st_size < 4_000_000
    with np.load(table, allow_pickle=False) as arrays:
        assert all(arrays[name].dtype != object for name in arrays)
    graph = WordNet(table)
    graph.ancestors(DOG)
    assert not {"_words", "_glosses"} & set(vars(graph))
    graph.name(DOG)
    assert "_glosses" not in vars(graph)
    assert wordnet() is wordnet()


def test_words_and_links_load_in_under_50_ms() -> None:
    """The least of five tries in processor time: what a quiet machine takes (20 ms)."""
    times = []
    for _ in range(5):
        start = time.process_time()
        WordNet(FOLDER / "wordnet.npz").name(wordnet().parents(DOG)[0])
        times.append(time.process_time() - start)
    assert min(times) < 0.05


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtifactError, match=r"wordnet\.npz is missing"):
        len(WordNet(tmp_path / "wordnet.npz"))


def test_the_licence_of_wordnet_lies_beside_the_table() -> None:
    text = (FOLDER / "LICENSE-wordnet").read_text()
    assert "WordNet 3.0 Copyright 2006 by Princeton University" in text
    assert "Permission to use, copy, modify and distribute" in text
