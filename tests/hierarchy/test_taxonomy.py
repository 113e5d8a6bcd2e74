from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hsae.errors import InputError, LabelError
from hsae.hierarchy import Taxonomy, wordnet

DOG, BEAGLE, TABBY, PERSIAN, FIRE_ENGINE = "n02084071", "n02088364", "n02123045", "n02123394", "n03345487"
DOMESTIC_ANIMAL, CARNIVORE, ENTITY = "n01317541", "n02075296", "n00001740"
GREY_WHALE, ORCA, WHALE, CETACEAN = "n02066245", "n02071294", "n02062744", "n02062430"


# The vectors: class lists, facts of the closures, node records, sets, robust sets.


@pytest.mark.parametrize("name", ["imagenet1k", "tiny200"])
def test_class_lists_are_the_hashed_ones(vectors: dict, taxonomies: dict[str, Taxonomy], name: str) -> None:
    entry, rules = vectors["class_lists"][name], taxonomies[name].rules
    assert rules["n_classes"] == entry["count"]
    assert rules["classes_sha256"] == entry["sha256_of_sorted_wnids_joined_by_newline"]


@pytest.mark.parametrize("name", ["imagenet1k", "tiny200"])
def test_closures_have_the_known_shape(vectors: dict, taxonomies: dict[str, Taxonomy], name: str) -> None:
    facts, taxonomy = vectors["taxonomy_facts"][name], taxonomies[name]
    parents = {node: wordnet().parents(node) for node in taxonomy.nodes}
    inner = set(taxonomy.nodes) - set(taxonomy.classes)
    sets = [taxonomy.classes_under(node) for node in taxonomy.nodes]
    depths = [len(wordnet().path(wnid)) - 1 for wnid in taxonomy.classes]
    assert {
        "nodes": len(taxonomy.nodes),
        "inner": len(inner),
        "edges": sum(map(len, parents.values())),
        "multi_parent": sum(len(above) > 1 for above in parents.values()),
        "multi_parent_classes": sum(len(parents[wnid]) > 1 for wnid in taxonomy.classes),
        "single_child_inner": sum(len(taxonomy.children(node)) == 1 for node in inner),
        "distinct_class_sets": len(set(sets)),
        "inner_with_2_or_more_classes": sum(taxonomy.leaf_count(node) > 1 for node in inner),
        "distinct_class_sets_of_2_or_more": len({under for under in sets if len(under) > 1}),
        "class_depth_max": [min(depths), max(depths)],
        "root_height": taxonomy.height(taxonomy.root),
        "root_height_contracted": taxonomy.contracted_height(taxonomy.root),
    }.items() <= facts.items()


def test_node_records(vectors: dict, taxonomies: dict[str, Taxonomy]) -> None:
    records = [(taxonomies[name], record) for name, records in vectors["nodes"].items() for record in records]
    assert len(records) == 19
    for taxonomy, record in records:
        node = record["synset"]
        assert wordnet().name(node) == record["name"].replace("_", " ")
        assert taxonomy.leaf_count(node) == record["classes"]
        assert taxonomy.height(node) == record["height"]
        assert taxonomy.contracted_height(node) == record["height_contracted"]
        assert len(wordnet().path(node)) - 1 == record["max_depth"]


def test_set_vectors(vectors: dict, taxonomies: dict[str, Taxonomy]) -> None:
    for vector in vectors["vectors"]:
        taxonomy, wnids = taxonomies[vector["class_list"]], vector["wnids"].split()
        lch = taxonomy.lch(wnids)
        assert len(wnids) == vector["n_classes"], vector["id"]
        assert lch == vector["lch"], vector["id"]
        assert sorted(taxonomy.minimal_common_hypernyms(wnids)) == sorted(vector["minimal_common_hypernyms"])
        assert taxonomy.minimal_common_hypernyms(wnids)[0] == lch
        assert taxonomy.leaf_count(lch) == vector["leaf_count"]
        assert taxonomy.height(lch) == vector["height"]
        assert taxonomy.contracted_height(lch) == vector["height_contracted"]
        assert taxonomy.coverage(wnids) == float(Fraction(vector["coverage"])), vector["id"]


def test_robust_vectors(vectors: dict, taxonomies: dict[str, Taxonomy]) -> None:
    dogs = dict.fromkeys(taxonomies["imagenet1k"].classes_under(DOG), 1.0)
    with_q = [vector for vector in vectors["robust_vectors"] if "q" in vector]
    assert len(with_q) == 3
    for vector in with_q:
        mass = {wnid: value for wnid, value in vector["mass"].items() if wnid.startswith("n")}
        if "each of the 118 dogs" in vector["mass"]:
            mass |= dogs
        found = [taxonomies[vector["class_list"]].lch_q(mass, q) for q in vector["q"]]
        assert found == vector["lch"], vector["id"]


# Hand-made lists, where every number can be counted on the fingers.


def test_a_class_above_another_class_holds_itself_and_has_height() -> None:
    taxonomy = Taxonomy([DOG, BEAGLE, TABBY])
    assert taxonomy.classes_under(DOG) == (DOG, BEAGLE)
    assert taxonomy.height(DOG) == 3  # beagle, hound, hunting dog, dog
    assert taxonomy.contracted_height(DOG) == 1
    assert (taxonomy.lch([DOG]), taxonomy.coverage([DOG])) == (DOG, 0.5)
    assert (taxonomy.lch([DOG, BEAGLE]), taxonomy.coverage([DOG, BEAGLE])) == (DOG, 1.0)
    assert (taxonomy.lch([BEAGLE]), taxonomy.height(BEAGLE), taxonomy.coverage([BEAGLE])) == (BEAGLE, 0, 1.0)
    # Both hold all three classes; domestic animal lies 4 above beagle, carnivore 5.
    assert taxonomy.minimal_common_hypernyms([BEAGLE, TABBY]) == (DOMESTIC_ANIMAL, CARNIVORE)


def test_of_two_nodes_with_the_same_classes_the_lower_one_is_the_lch(small: Taxonomy) -> None:
    assert small.classes_under(CETACEAN) == small.classes_under(WHALE) == (GREY_WHALE, ORCA)
    assert small.lch([ORCA, GREY_WHALE]) == WHALE
    assert small.minimal_common_hypernyms([ORCA, GREY_WHALE]) == (WHALE,)
    assert small.contracted_height(CETACEAN) == small.contracted_height(WHALE) == 1
    assert small.height(CETACEAN) == small.height(WHALE) + 1


def test_numbers_depend_on_the_class_list() -> None:
    cats = ["n02123045", "n02123159", "n02123394", "n02123597", "n02124075"]
    assert Taxonomy(cats).coverage(cats[:2]) == 2 / 5
    assert Taxonomy(cats[:3]).coverage(cats[:2]) == 2 / 3


def test_the_empty_set_has_no_value(small: Taxonomy) -> None:
    assert small.lch([]) is None
    assert small.lch_q({}) is None
    assert small.lch_q({TABBY: 0.0}) is None
    assert small.minimal_common_hypernyms([]) == ()
    assert math.isnan(small.coverage([]))


def test_every_class_is_under_the_root(small: Taxonomy) -> None:
    assert small.root == ENTITY
    assert small.leaf_count(ENTITY) == len(small.classes)


def test_repeated_classes_are_ignored_and_the_order_is_kept() -> None:
    assert Taxonomy([TABBY, BEAGLE, TABBY]).classes == (TABBY, BEAGLE)
    hashes = {Taxonomy(classes).rules["classes_sha256"] for classes in ([TABBY, BEAGLE], [BEAGLE, TABBY, BEAGLE])}
    assert hashes == {hashlib.sha256(f"{BEAGLE}\n{TABBY}".encode()).hexdigest()}


def test_arrays_cannot_be_written(small: Taxonomy) -> None:
    for array in (small.members, small.heights, small.contracted_heights, small.leaf_counts):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0


# Errors name the id.


@pytest.mark.parametrize("ask", [Taxonomy.lch, Taxonomy.minimal_common_hypernyms, Taxonomy.coverage])
def test_a_class_outside_the_list_is_named(small: Taxonomy, ask: Callable) -> None:
    with pytest.raises(LabelError, match="'n02085620', 'tabby'"):
        ask(small, [TABBY, "n02085620", "tabby"])


@pytest.mark.parametrize("ask", [Taxonomy.height, Taxonomy.contracted_height, Taxonomy.leaf_count, Taxonomy.children])
def test_a_node_outside_the_closure_is_named(small: Taxonomy, ask: Callable) -> None:
    with pytest.raises(LabelError, match="n02085620"):
        ask(small, "n02085620")


def test_bad_class_lists_are_refused() -> None:
    with pytest.raises(LabelError, match="n00000000"):
        Taxonomy([TABBY, "n00000000"])
    with pytest.raises(LabelError, match="empty"):
        Taxonomy([])


@pytest.mark.parametrize("q", [0.0, -0.1, 1.01, math.nan])
def test_q_outside_its_range_is_refused(small: Taxonomy, q: float) -> None:
    with pytest.raises(InputError, match="q is"):
        small.lch_q({TABBY: 1.0}, q)


@pytest.mark.parametrize("bad", [-1.0, math.nan, math.inf])
def test_unusable_mass_is_refused(small: Taxonomy, bad: float) -> None:
    with pytest.raises(InputError, match="mass"):
        small.lch_q({TABBY: 1.0, BEAGLE: bad})


# Properties, on a list without and a list with nested classes.

BOTH = st.sampled_from(["small", "nested"])
NUMBERS = st.lists(st.integers(0, 15), min_size=1, max_size=8)


@pytest.fixture(scope="module")
def pick(request: pytest.FixtureRequest) -> Callable:
    both = {name: request.getfixturevalue(name) for name in ("small", "nested")}
    return lambda name, numbers: (both[name], [both[name].classes[-1 - number] for number in numbers])


@given(name=BOTH, numbers=NUMBERS, random=st.randoms())
def test_order_and_repeats_do_not_matter(pick: Callable, name: str, numbers: list[int], random: object) -> None:
    taxonomy, wnids = pick(name, numbers)
    other = wnids + wnids[:2]
    random.shuffle(other)
    assert taxonomy.lch(wnids) == taxonomy.lch(other)
    assert taxonomy.coverage(wnids) == taxonomy.coverage(other)


@given(name=BOTH, numbers=NUMBERS)
def test_the_lch_holds_the_set_and_nothing_below_it_does(pick: Callable, name: str, numbers: list[int]) -> None:
    taxonomy, wnids = pick(name, numbers)
    lch = taxonomy.lch(wnids)
    assert set(wnids) <= set(taxonomy.classes_under(lch))
    assert not any(set(wnids) <= set(taxonomy.classes_under(child)) for child in taxonomy.children(lch))
    assert taxonomy.minimal_common_hypernyms(wnids)[0] == lch


@given(name=BOTH, numbers=NUMBERS)
def test_coverage_is_in_range_and_no_common_ancestor_does_better(pick: Callable, name: str, numbers: list[int]) -> None:
    taxonomy, wnids = pick(name, numbers)
    holders = [node for node in taxonomy.nodes if set(wnids) <= set(taxonomy.classes_under(node))]
    assert 0 < taxonomy.coverage(wnids) <= 1
    assert taxonomy.coverage(wnids) == max(len(set(wnids)) / taxonomy.leaf_count(node) for node in holders)


@given(name=BOTH, numbers=NUMBERS, masses=st.lists(st.floats(1e-12, 1e6), min_size=8, max_size=8))
def test_with_q_1_the_robust_lch_is_the_lch_of_the_support(
    pick: Callable, name: str, numbers: list[int], masses: list[float]
) -> None:
    taxonomy, wnids = pick(name, numbers)
    mass = dict(zip(wnids, masses, strict=False)) | {taxonomy.classes[0]: 0.0}
    support = [wnid for wnid, value in mass.items() if value > 0]
    assert taxonomy.lch_q(mass, 1.0) == taxonomy.lch(support)


@given(name=BOTH, numbers=NUMBERS, scale=st.floats(1e-6, 1e6), q=st.floats(0.01, 1))
def test_the_robust_lch_holds_its_share_whatever_the_scale(
    pick: Callable, name: str, numbers: list[int], scale: float, q: float
) -> None:
    taxonomy, wnids = pick(name, numbers)
    node = taxonomy.lch_q(dict.fromkeys(wnids, scale), q)
    inside = len(set(wnids) & set(taxonomy.classes_under(node))) / len(set(wnids))
    assert inside >= q - 1e-8
    assert taxonomy.position(node) <= taxonomy.position(taxonomy.lch(wnids))
    assert node == taxonomy.lch_q(dict.fromkeys(wnids, 1.0), q)


def test_exact_shares_count_as_reached(small: Taxonomy) -> None:
    """The cats hold 9 of 10 parts; 1 - 0.9 in floating point is a little less than the tenth outside."""
    cats = dict.fromkeys(["n02123045", "n02123394", "n02123597"], 3.0)
    assert small.lch_q(cats | {FIRE_ENGINE: 1.0}, 0.9) == small.lch(cats)
    assert small.lch_q(cats | {FIRE_ENGINE: 1.01}, 0.9) != small.lch(cats)


def test_one_outlier_moves_the_lch_but_not_the_robust_one(small: Taxonomy) -> None:
    cats = ["n02123045", "n02123394", "n02123597"]
    mass = dict.fromkeys(cats, 1.0) | {FIRE_ENGINE: 0.1}
    assert small.lch_q(mass) == small.lch(cats)
    assert small.lch(mass) != small.lch(cats)


def test_the_branches_above_a_class_are_the_nodes_at_which_the_list_divides() -> None:
    """By hand: of chihuahua, tabby, Egyptian cat and sports car, a tabby is a cat, a carnivore, a thing."""
    taxonomy = Taxonomy(["n02085620", TABBY, "n02124075", "n04285008"])
    branches = taxonomy.branches_above(TABBY)
    assert branches[-2:] == ("n02075296", "n02121808")  # carnivore; domestic cat
    assert [taxonomy.leaf_count(node) for node in branches] == [4, 3, 2]
    assert taxonomy.branches_above(TABBY, last=1) == ("n02121808",)
    assert taxonomy.branches_above("n02075296") == branches[:1]
