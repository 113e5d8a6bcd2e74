"""Random sets: exact where they can be counted, uniform p-values without a taxonomy, the least p for a planted one."""

from itertools import combinations

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, lch_rows
from hsae.measures.wordnet import label_permutation_test, layer_permutation_test, set_nulls
from tests.hierarchy.conftest import SMALL

B = 2000


def random_sets(taxonomy: Taxonomy, k: int, n: int, seed: int = 0) -> np.ndarray:
    order = np.random.default_rng(seed).random((n, len(taxonomy.classes))).argsort(axis=1)
    return order < k


def under(taxonomy: Taxonomy, node: str) -> np.ndarray:
    return taxonomy.members[taxonomy.position(node)]


@pytest.mark.parametrize("k", [1, 2, 3])
def test_the_null_is_the_distribution_over_all_sets(small, k):
    sets = np.zeros((0, len(small.classes)), bool)
    for chosen in combinations(range(len(small.classes)), k):
        sets = np.vstack([sets, np.isin(np.arange(len(small.classes)), chosen)])
    every = lch_rows(small, sets)
    null = set_nulls(small, [k], permutations=20_000)[k]
    assert null.mean_height == pytest.approx(small.heights[every].mean(), rel=0.02)
    assert null.mean_coverage == pytest.approx((k / small.leaf_counts[every]).mean(), rel=0.05)


def test_sizes_asked_together_or_alone_give_the_same(small):
    together = set_nulls(small, [2, 5, 9, 16], B)
    for k, null in together.items():
        alone = set_nulls(small, [k], B)[k]
        np.testing.assert_array_equal(null.leaf_counts, alone.leaf_counts)
        assert null.mean_height == alone.mean_height


def test_the_set_of_all_classes_and_no_sizes(small):
    everything = set_nulls(small, [len(small.classes)], 10)[len(small.classes)]
    assert set(everything.leaf_counts) == {len(small.classes)}
    assert everything.p_values(everything.leaf_counts[:1]) == 1
    assert set_nulls(small, []) == {}


@pytest.mark.parametrize("sizes", [[0], [17], [2, 99]])
def test_sizes_that_no_set_can_have_are_refused(small, sizes):
    with pytest.raises(InputError, match="1 to 16"):
        set_nulls(small, sizes, 10)
    with pytest.raises(InputError, match="0 permutations"):
        set_nulls(small, [2], 0)


@given(k=st.integers(2, 15), seed=st.integers(0, 20))
def test_p_values_count_random_sets_that_are_as_tight(k, seed):
    small = Taxonomy(SMALL)
    null = set_nulls(small, [k], 300, seed)[k]
    for leaf_count in set(null.leaf_counts) | {k, 16}:
        counted = sum(k / random >= k / leaf_count for random in null.leaf_counts)
        assert null.p_values(np.array([leaf_count]))[0] == (1 + counted) / 301


def test_a_planted_dog_latent_gets_the_least_p_value(taxonomies):
    taxonomy = taxonomies["imagenet1k"]
    dogs = under(taxonomy, "n02084071")
    test = label_permutation_test(taxonomy, dogs[None], B)
    assert test.p_value[0] == 1 / (B + 1)
    assert test.q_value[0] == 1 / (B + 1)
    assert test.lower_height[0] > 10
    assert test.log2_coverage[0] > 3
    scattered = label_permutation_test(taxonomy, random_sets(taxonomy, dogs.sum(), 1), B)
    assert scattered.p_value[0] > 0.05


def test_shuffled_labels_give_uniform_p_values(taxonomies):
    """Ties make p conservative; broken at random they make it uniform. Control: sets under one node are not."""
    taxonomy = taxonomies["tiny200"]
    null = set_nulls(taxonomy, [6], 10_000, seed=1)[6]
    sets = random_sets(taxonomy, 6, 800, seed=2)
    leaf_counts = taxonomy.leaf_counts[lch_rows(taxonomy, sets)]
    tighter = np.searchsorted(null.leaf_counts, leaf_counts, side="left")
    ties = np.searchsorted(null.leaf_counts, leaf_counts, side="right") - tighter
    uniform = (tighter + np.random.default_rng(3).random(800) * (1 + ties)) / 10_001
    assert scipy.stats.kstest(uniform, "uniform").pvalue > 0.01
    conservative = null.p_values(leaf_counts)
    for level in (0.01, 0.05, 0.2):
        assert (conservative <= level).mean() <= level + 3 * np.sqrt(level / 800)
    animals = np.flatnonzero(under(taxonomy, "n00015388"))
    inside = np.zeros((50, 200), bool)
    for row in inside:
        row[np.random.default_rng(row.sum()).choice(animals, 6, replace=False)] = True
    assert scipy.stats.kstest(null.p_values(taxonomy.leaf_counts[lch_rows(taxonomy, inside)]), "uniform").pvalue < 1e-6


def test_latents_with_fewer_than_two_classes_are_left_out(small):
    rows = np.zeros((4, 16), bool)
    rows[1, 0] = rows[2, :3] = rows[3, [0, 9]] = True
    test = label_permutation_test(small, rows, B)
    assert test.isna().all(axis=1).tolist() == [True, True, False, False]
    assert test.p_value[2] < 0.05 < test.p_value[3]
    np.testing.assert_allclose(test.q_value[2:], scipy.stats.false_discovery_control(test.p_value[2:]))
    assert label_permutation_test(small, rows[:2], B).isna().all(axis=None)


def test_effects_are_differences_from_the_mean_random_set(small):
    cats = np.isin(np.arange(16), [0, 1])
    null = set_nulls(small, [2], B)[2]
    test = label_permutation_test(small, cats[None], B)
    assert test.lower_height[0] == pytest.approx(null.mean_height - 1)
    assert test.log2_coverage[0] == pytest.approx(np.log2(2 / 3 / null.mean_coverage))


def test_a_layer_of_nodes_beats_shuffled_synsets_and_a_random_one_does_not(taxonomies):
    taxonomy = taxonomies["tiny200"]
    nodes = [n for n in taxonomy.nodes if 2 <= taxonomy.leaf_count(n) <= 20][::4]
    planted = layer_permutation_test(taxonomy, np.stack([under(taxonomy, n) for n in nodes]), shuffles=50)
    assert planted.p_value == 1 / 51
    assert planted.coverage == 1
    assert planted.height < planted.random_height.min()
    random = layer_permutation_test(taxonomy, random_sets(taxonomy, 4, 40), shuffles=50)
    assert random.p_value > 0.05
    single = np.eye(200, dtype=bool)[:3]
    assert layer_permutation_test(taxonomy, single) is None
    assert layer_permutation_test(taxonomy, np.vstack([single, planted_row(taxonomy)])).coverage == 1


def planted_row(taxonomy: Taxonomy) -> np.ndarray:
    return under(taxonomy, "n02084071")[None]
