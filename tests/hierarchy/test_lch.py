from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, best_node_rows, coverage_rows, lch_q_rows, lch_rows
from hsae.hierarchy.lch import MISSING

DOG, FIRE_ENGINE, WHALE = "n02084071", "n03345487", "n02062744"


def rows_of(taxonomy: Taxonomy, *sets: list[str]) -> np.ndarray:
    return np.array([[wnid in wnids for wnid in taxonomy.classes] for wnids in sets])


def chosen(taxonomy: Taxonomy, row: np.ndarray) -> list[str]:
    return [taxonomy.classes[column] for column in np.flatnonzero(row)]


def nodes(taxonomy: Taxonomy, positions: np.ndarray) -> list[str | None]:
    return [None if position == MISSING else taxonomy.nodes[position] for position in positions]


@pytest.fixture(scope="module", params=["small", "nested"])
def taxonomy(request: pytest.FixtureRequest) -> Taxonomy:
    return request.getfixturevalue(request.param)


@given(data=st.data())
def test_rows_equal_the_set_questions(taxonomy: Taxonomy, data: st.DataObject) -> None:
    selected = data.draw(arrays.arrays(bool, (6, len(taxonomy.classes))))
    sets = [chosen(taxonomy, row) for row in selected]
    assert nodes(taxonomy, lch_rows(taxonomy, selected)) == [taxonomy.lch(wnids) for wnids in sets]
    np.testing.assert_array_equal(coverage_rows(taxonomy, selected), [taxonomy.coverage(wnids) for wnids in sets])


@given(data=st.data(), q=st.floats(0.05, 1))
def test_robust_rows_equal_the_set_question(taxonomy: Taxonomy, data: st.DataObject, q: float) -> None:
    shape = (4, len(taxonomy.classes))
    mass = data.draw(arrays.arrays(float, shape, elements=st.sampled_from([0.0, 0.0, 0.25, 1.0, 3.0])))
    single = [taxonomy.lch_q(dict(zip(taxonomy.classes, row, strict=True)), q) for row in mass]
    assert nodes(taxonomy, lch_q_rows(taxonomy, mass, q)) == single


@given(data=st.data())
def test_best_node_beats_every_node_by_f1_and_by_jaccard(taxonomy: Taxonomy, data: st.DataObject) -> None:
    row = data.draw(arrays.arrays(bool, (1, len(taxonomy.classes))).filter(np.any))
    wanted = set(chosen(taxonomy, row[0]))
    under = [set(taxonomy.classes_under(node)) for node in taxonomy.nodes]
    f1 = [2 * len(wanted & leaves) / (len(wanted) + len(leaves)) for leaves in under]
    jaccard = [len(wanted & leaves) / len(wanted | leaves) for leaves in under]
    (best,), (score,) = best_node_rows(taxonomy, row)
    assert best == np.argmax(f1) == np.argmax(jaccard)
    assert score == max(f1)
    assert score / (2 - score) == pytest.approx(max(jaccard))


def test_empty_rows_are_missing_and_leave_the_others_alone(small: Taxonomy) -> None:
    selected = rows_of(small, [], [FIRE_ENGINE], [])
    assert nodes(small, lch_rows(small, selected)) == [None, FIRE_ENGINE, None]
    assert nodes(small, lch_q_rows(small, selected.astype(float))) == [None, FIRE_ENGINE, None]
    np.testing.assert_array_equal(coverage_rows(small, selected), [np.nan, 1, np.nan])
    best, f1 = best_node_rows(small, selected)
    assert nodes(small, best) == [None, FIRE_ENGINE, None]
    np.testing.assert_array_equal(f1, [np.nan, 1, np.nan])
    assert lch_rows(small, selected[:0]).shape == (0,)


def test_a_whole_subtree_and_one_outlier(vectors: dict, taxonomies: dict[str, Taxonomy]) -> None:
    """The plain LCH jumps to the top; the robust one and the best node stay."""
    imagenet = taxonomies["imagenet1k"]
    selected = rows_of(imagenet, [*imagenet.classes_under(DOG), FIRE_ENGINE], ["n02066245", "n02071294", "n02123045"])
    assert nodes(imagenet, lch_rows(imagenet, selected))[0] == "n00003553"
    assert nodes(imagenet, lch_q_rows(imagenet, selected.astype(float)))[0] == DOG
    best, f1 = best_node_rows(imagenet, selected)
    expected = [vector for vector in vectors["robust_vectors"] if "jaccard" in vector]
    assert nodes(imagenet, best) == [vector["node"] for vector in expected] == [DOG, WHALE]
    np.testing.assert_allclose(f1 / (2 - f1), [118 / 119, 2 / 3])


@pytest.mark.parametrize("name", ["imagenet1k", "tiny200"])
def test_random_sets_lie_high_with_little_coverage(vectors: dict, taxonomies: dict[str, Taxonomy], name: str) -> None:
    """A set without meaning has the highest LCH, so height alone is no evidence."""
    taxonomy, random = taxonomies[name], np.random.default_rng(0)
    for size, (height, coverage, share_at_top) in vectors["random_set_reference"][name].items():
        order = random.random((2000, len(taxonomy.classes))).argsort(axis=1)
        selected = order < int(size)
        lch = lch_rows(taxonomy, selected)
        assert taxonomy.heights[lch].mean() == pytest.approx(height, abs=0.25)
        assert coverage_rows(taxonomy, selected).mean() == pytest.approx(coverage, rel=0.15)
        at_top = taxonomy.leaf_counts[lch] >= 0.9 * len(taxonomy.classes)
        assert at_top.mean() == pytest.approx(share_at_top, abs=0.03)


def test_ten_thousand_dense_rows_over_a_thousand_classes(taxonomies: dict[str, Taxonomy]) -> None:
    """More rows than one chunk holds: the same as in small parts, and sampled rows equal the set question."""
    taxonomy, random = taxonomies["imagenet1k"], np.random.default_rng(0)
    selected = random.random((10_000, 1000)) < random.choice([0.001, 0.01, 0.5], size=(10_000, 1))
    lch, coverage = lch_rows(taxonomy, selected), coverage_rows(taxonomy, selected)
    parts = [lch_rows(taxonomy, part) for part in np.array_split(selected, 7)]
    np.testing.assert_array_equal(lch, np.concatenate(parts))
    for row in random.integers(10_000, size=200):
        wnids = chosen(taxonomy, selected[row])
        assert nodes(taxonomy, lch[[row]]) == [taxonomy.lch(wnids)]
        np.testing.assert_equal(coverage[row], taxonomy.coverage(wnids))


def test_wrong_shapes_and_types_are_refused(small: Taxonomy) -> None:
    with pytest.raises(InputError, match=r"\(2, 3\)"):
        lch_rows(small, np.zeros((2, 3), dtype=bool))
    with pytest.raises(InputError, match="a column for every class"):
        best_node_rows(small, np.zeros(len(small.classes), dtype=bool))
    with pytest.raises(InputError, match="float64"):  # rates are not a selection
        lch_rows(small, np.full((2, len(small.classes)), 0.3))
    with pytest.raises(InputError, match="mass"):
        lch_q_rows(small, np.full((2, len(small.classes)), -1.0))
