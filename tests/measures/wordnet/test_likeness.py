"""A latent for a colour beats random synsets, not synsets dealt among look-alikes; one for a node beats both."""

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

import hsae
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, lch_rows
from hsae.measures.wordnet import UNKNOWN, label_permutation_test, likeness_groups, likeness_permutation_test
from hsae.measures.wordnet.likeness import shuffle_within

BLUE, SPREAD = "n01905661", "n03094503"  # invertebrate: all of one colour; container: every colour


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    """Of the packaged artifact's first 200 classes."""
    index = Path(hsae.__file__).parent / "starter" / "artifact" / "hsae.json"
    return Taxonomy(json.loads(index.read_text())["dataset"]["classes"][:200])


@pytest.fixture(scope="module")
def looks(taxonomy) -> np.ndarray:
    """One of twenty colours a class at random, but all classes under BLUE have the same."""
    random = np.random.default_rng(0)
    colour = random.integers(1, 20, len(taxonomy.classes))
    colour[members(taxonomy, BLUE)] = 0
    centres = 10 * random.normal(size=(20, 4))
    return centres[colour] + 0.1 * random.normal(size=(len(colour), 4))


def members(taxonomy, node) -> np.ndarray:
    return np.flatnonzero(taxonomy.members[taxonomy.position(node)])


def some_of(taxonomy, node, share=0.6, n=20) -> np.ndarray:
    """Latents that fire for a random share of the node's classes."""
    under, rows = members(taxonomy, node), np.zeros((n, len(taxonomy.classes)), bool)
    for seed, row in enumerate(rows):
        row[np.random.default_rng(seed).choice(under, round(share * len(under)), replace=False)] = True
    return rows


def test_colour_is_told_from_taxonomy(taxonomy, looks):
    groups = likeness_groups(looks)
    colour, node = some_of(taxonomy, BLUE), some_of(taxonomy, SPREAD)
    for rows in (colour, node):
        assert (label_permutation_test(taxonomy, rows).p_value < 0.001).all()
    by_colour, by_node = (likeness_permutation_test(taxonomy, rows, groups, shuffles=200) for rows in (colour, node))
    assert by_colour.latents.p_value.min() > 0.1
    assert by_colour.layer.p_value > 0.1
    assert (by_node.latents.p_value < 0.02).all()
    assert (by_node.latents.log2_coverage > 1).all()
    assert by_node.layer.p_value == 1 / 201


def test_classes_of_unknown_looks_are_exchanged_with_none(taxonomy):
    """A latent for a node whose looks nobody knows has no advantage, however large its coverage."""
    groups = np.zeros(len(taxonomy.classes), int)
    rows = some_of(taxonomy, SPREAD)
    assert (likeness_permutation_test(taxonomy, rows, groups, shuffles=100).latents.p_value == 1 / 101).all()
    groups[members(taxonomy, SPREAD)] = UNKNOWN
    assert (likeness_permutation_test(taxonomy, rows, groups, shuffles=100).latents.p_value == 1).all()
    order = shuffle_within(groups, np.random.default_rng(0))
    moved = order != np.arange(len(groups))
    assert not moved[groups == UNKNOWN].any()
    assert moved[groups != UNKNOWN].mean() > 0.9


def test_latents_that_follow_the_looks_alone_give_no_small_p_values(taxonomy, looks):
    groups, random = likeness_groups(looks), np.random.default_rng(1)
    start = np.isin(groups, [0, 1, 2]) & (np.random.default_rng(2).random(200) < 0.5)
    rows = np.stack([start[shuffle_within(groups, random)] for _ in range(300)])
    p = likeness_permutation_test(taxonomy, rows, groups, shuffles=200, seed=3).latents.p_value
    for level in (0.01, 0.05, 0.2):
        assert (p <= level).mean() <= level + 3 * np.sqrt(level / 300)


def test_with_one_group_it_is_the_plain_shuffle(taxonomy):
    rows = some_of(taxonomy, SPREAD, 0.3, 3)
    plain, alike = label_permutation_test(taxonomy, rows), np.zeros(200, int)
    one = likeness_permutation_test(taxonomy, rows, alike, shuffles=2000).latents
    np.testing.assert_allclose(one.log2_coverage, plain.log2_coverage, atol=0.15)
    alone = likeness_permutation_test(taxonomy, rows, np.arange(200), shuffles=20).latents
    assert (alone.p_value == 1).all()
    np.testing.assert_allclose(alone.log2_coverage, 0, atol=1e-12)


def test_fewer_than_two_classes_have_no_p_value(taxonomy):
    rows = np.zeros((3, 200), bool)
    rows[1, 5] = rows[2, [5, 6]] = True
    groups = np.arange(200) % 20
    found = likeness_permutation_test(taxonomy, rows, groups, shuffles=50)
    assert found.latents.p_value.isna().tolist() == [True, True, False]
    assert found.latents.q_value[2] == scipy.stats.false_discovery_control([found.latents.p_value[2]])[0]
    assert found.layer.coverage == 2 / taxonomy.leaf_counts[lch_rows(taxonomy, rows[2:])[0]]
    assert likeness_permutation_test(taxonomy, rows[:2], groups).layer is None
    with pytest.raises(InputError, match="groups of shape"):
        likeness_permutation_test(taxonomy, rows, groups[:5])


@given(st.lists(st.integers(-1, 4), min_size=1, max_size=30), st.integers(0, 100))
def test_a_shuffle_within_groups_stays_within_groups(groups, seed):
    groups = np.array(groups)
    order = shuffle_within(groups, np.random.default_rng(seed))
    np.testing.assert_array_equal(np.sort(order), np.arange(len(groups)))
    np.testing.assert_array_equal(groups[order], groups)


def test_groups_are_the_planted_ones_whatever_the_units():
    random = np.random.default_rng(0)
    truth = np.repeat(np.arange(4), 10)
    looks = random.normal(size=(4, 3))[truth] * 5 + 0.1 * random.normal(size=(40, 3))
    for scale in (np.ones(3), np.array([1, 1000, 1e-6])):
        groups = likeness_groups(looks * scale)
        assert len({(a, b) for a, b in zip(truth, groups, strict=True)}) == 4
    looks[7] = np.nan
    assert likeness_groups(looks)[7] == -1
    assert set(likeness_groups(np.ones((25, 2)))) <= {0, 1}
    assert set(likeness_groups(np.full((3, 2), np.nan))) == {-1}
