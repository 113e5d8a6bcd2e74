"""Consistency with WordNet: by hand on four classes, high on a planted tree, at chance on noise."""

import itertools

import numpy as np
import pandas as pd
import pytest
import torch

from hsae.errors import InputError
from hsae.hierarchy import Taxonomy, wordnet
from hsae.measures.statistics import against_null
from hsae.measures.wordnet.class_distances import lch_heights, path_distances
from hsae.measures.wordnet.class_means import class_means
from hsae.measures.wordnet.consistency import PRIMARY, SMALLER, layer_consistency
from hsae.measures.wordnet.cophenetic import cophenetic
from hsae.measures.wordnet.level_probes import Labelled, LayerImages, read_levels
from hsae.measures.wordnet.levels import full_path_accuracy, level_groups, tree_inconsistency
from hsae.measures.wordnet.mistakes import severity
from hsae.measures.wordnet.neighbourhoods import neighbourhood_precision
from hsae.measures.wordnet.parents import families, parent_alignment
from tests.measures.wordnet.labelled_scores import CLASSES, balanced_labels

TAXONOMY = Taxonomy(CLASSES)
PAIRS = np.array([[1, 1, 0, 0], [0, 0, 1, 1], [1, 1, 1, 1]], dtype=bool)
"""Two families of two."""


def on_a_line(*places: float) -> np.ndarray:
    return np.abs(np.subtract.outer(places, places))


# -- WordNet's distances


def test_distances_are_those_of_ancestor_sets():
    paths, heights = path_distances(TAXONOMY), lch_heights(TAXONOMY)
    for i, j in itertools.combinations_with_replacement(range(len(CLASSES)), 2):
        assert heights[i, j] == heights[j, i] == TAXONOMY.height(TAXONOMY.lch([CLASSES[i], CLASSES[j]]))
        assert paths[i, j] == paths[j, i] == shortest(CLASSES[i], CLASSES[j])


def shortest(a: str, b: str) -> int:
    """By all ways up."""

    def climbs(wnid: str, steps: int = 0):
        yield wnid, steps
        for parent in wordnet().parents(wnid):
            yield from climbs(parent, steps + 1)

    return min(m + n for (x, m), (y, n) in itertools.product(list(climbs(a)), list(climbs(b))) if x == y)


# -- by hand


def test_means_by_hand():
    x = torch.tensor([[0.0, 7], [2, 7], [4, 7], [6, 7], [8, 7], [10, 7], [99, 7], [0, 7]])
    found = class_means(x, torch.tensor([0, 0, 2, 2, 3, 3, 1, -1]))
    assert found.columns.tolist() == [0, 2, 3]
    scale = x[:7, 0].double().std(correction=0).item()
    assert found.distances[0] == pytest.approx([0, 4 / scale, 8 / scale])
    assert found.products[0, 2] == pytest.approx(-16 / scale**2)
    with pytest.raises(InputError, match="2 classes"):
        class_means(x[:4], torch.tensor([0, 0, 1, 1]))


def test_cophenetic_by_hand():
    tree = np.array([[0, 1, 2, 2], [1, 0, 2, 2], [2, 2, 0, 1], [2, 2, 1, 0]])
    assert cophenetic(on_a_line(0, 1, 10, 12), tree).value == pytest.approx(0.8281, abs=1e-4)  # ranks 1 2 | 3 4 5 6
    assert cophenetic(tree, tree).value == pytest.approx(1)
    assert cophenetic(-tree, tree).value == pytest.approx(-1)
    assert cophenetic(np.ones((4, 4)), tree) is None


def test_neighbours_by_hand():
    assert neighbourhood_precision(on_a_line(0, 1, 10, 12), PAIRS).value == 1
    # The partner of 0 comes third, that of 1 second; that of 10 second, of 12 third.
    apart = neighbourhood_precision(on_a_line(0, 10, 1, 12), PAIRS)
    assert apart.value == pytest.approx(np.mean([1 / 2, 1 / 3, 1 / 3, 1 / 2]))
    assert apart.null == pytest.approx(np.mean([1, 1 / 2, 1 / 3]), abs=0.06)
    assert neighbourhood_precision(on_a_line(0, 1, 2), np.ones((1, 3), dtype=bool)) is None


def test_severity_by_hand():
    heights = np.array([[0, 1, 5], [1, 0, 5], [5, 5, 0]])
    found = severity(np.array([0, 0, 1, 2]), np.array([0, 1, 2, 2]), heights)
    assert found.value == 3  # 0 for 1 meets at 1, 1 for 2 at 5; the others are right
    assert severity(np.array([0, 0]), np.array([0, 1]), heights) is None


def test_levels_by_hand():
    groups = np.array([[0, 1, 2], [7, 7, 8]])
    truth = np.array([0, 1, 2, 2])
    said = np.array([[0, 0, 2, 2], [7, 7, 8, 7]])
    assert full_path_accuracy(said, truth, groups).value == 0.5
    assert tree_inconsistency(said, truth, groups).value == 0.25  # only (2, 7) is no class; (0, 7) is, though wrong


def test_levels_of_wordnet_hold_their_classes_and_no_more_than_their_height():
    groups = level_groups(TAXONOMY, (0, 3, 99))
    for height, level in zip((0, 3, 99), groups, strict=True):
        assert TAXONOMY.members[level, np.arange(len(CLASSES))].all()
        assert TAXONOMY.heights[level].max() <= max(height, TAXONOMY.heights[groups[0]].max())
    assert len(set(groups[0])) == len(CLASSES)
    assert set(groups[2]) == {TAXONOMY.position(TAXONOMY.root)}


def test_parents_by_hand():
    tree = families(PAIRS)
    assert len(tree.child) == 0  # the only set above the pairs is that of all classes
    three = np.vstack([PAIRS, np.eye(4, dtype=bool)])
    tree = families(three)
    assert tree.child.tolist() == np.eye(4)[::-1].tolist()
    assert tree.parent.tolist() == [[0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0], [0, 1, 0, 0]]
    means = np.array([[1.0, 0], [1, 1], [-1, 0], [-1, -1]])
    # (1, 1) is a child of (1, 0): what it adds is (0, 1), at a right angle; from (1, 1) to (1, 0) the cosine is -.71.
    assert parent_alignment(means @ means.T, tree).value == pytest.approx(np.mean([0, 0.5**0.5] * 2))


def test_p_counts_draws_that_are_as_good():
    assert against_null(3, np.array([1.0, 2, 3, 4])).p == pytest.approx(3 / 5)
    assert against_null(1, np.array([1.0, 2, 3, 4]), smaller=True).p == pytest.approx(2 / 5)


# -- planted and noise


def layer(strength: float, seed: int = 0, d: int = 32) -> LayerImages:
    """Class means that are sums of a direction for every node above, and one of their own."""
    generator = torch.Generator().manual_seed(seed)
    sets = np.unique(TAXONOMY.members, axis=0)
    directions = torch.randn(len(sets), d, generator=generator) / np.sqrt(d)
    own = torch.randn(len(CLASSES), d, generator=generator) / np.sqrt(d)
    means = own + strength * torch.from_numpy(sets.T).float() @ directions

    def images(a_class: int, seed: int) -> Labelled:
        labels = torch.from_numpy(balanced_labels(seed, a_class))
        return Labelled(means[labels] + 0.8 * torch.randn(len(labels), d, generator=generator), labels)

    return LayerImages(images(12, 1), images(6, 2), images(10, 3))


@pytest.fixture(scope="module")
def planted():
    return layer_consistency(layer(1.5), TAXONOMY)


@pytest.mark.parametrize(
    "name", [PRIMARY, "cophenetic_path", "neighbours", "severity", "inconsistency", "parent_cosine"]
)
def test_a_planted_tree_is_far_from_chance(planted, name):
    found, sign = planted.measures[name], -1 if name in SMALLER else 1
    assert sign * found.value > sign * found.null
    assert found.p < 0.02


def test_noise_is_at_chance():
    """Class means without a tree: p-values spread over all of (0, 1], not below .05 more often than chance allows."""
    found = []
    for seed in range(8):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.from_numpy(balanced_labels(seed, 3))
        own = torch.randn(len(CLASSES), 32, generator=generator)
        means = class_means(own[labels] + torch.randn(len(labels), 32, generator=generator), labels)
        groups = np.unique(TAXONOMY.members, axis=0)
        measured = {
            "cophenetic_path": cophenetic(means.distances, path_distances(TAXONOMY)),
            PRIMARY: cophenetic(means.distances, lch_heights(TAXONOMY)),
            "neighbours": neighbourhood_precision(means.distances, groups),
            "parent_cosine": parent_alignment(means.products, families(groups)),
        }
        found.append({name: one.p for name, one in measured.items()})
    table = pd.DataFrame(found)
    assert ((table < 0.05).sum() <= 2).all(), table
    assert table.mean().between(0.2, 0.8).all(), table


def test_probes_read_every_level_and_no_level_reads_another():
    groups, images = level_groups(TAXONOMY), layer(1.5)
    said = read_levels(images, groups)
    truth = groups[:, images.test.labels.numpy()]
    right = (said == truth).mean(axis=1)
    assert (right > 0.5).all()
    assert right[-1] > right[0]  # a few groups are easier than all classes
    alone = read_levels(images, groups[1:2])
    assert (alone == said[1:2]).all()
    nothing = Labelled(torch.randn_like(images.test.x), images.test.labels)
    guessed = read_levels(LayerImages(images.train, images.choice, nothing), groups)
    assert (guessed == truth).mean(axis=1)[0] < 0.2


def test_mistakes_that_know_nothing_are_as_bad_as_chance():
    random = np.random.default_rng(0)
    truth, said = random.integers(len(CLASSES), size=(2, 400))
    assert severity(truth, said, lch_heights(TAXONOMY)).p > 0.02


def test_one_reading_for_all_levels_never_contradicts_itself():
    groups = level_groups(TAXONOMY)
    random = np.random.default_rng(0)
    truth = random.integers(len(CLASSES), size=300)
    said = np.where(random.random(300) < 0.5, truth, random.integers(len(CLASSES), size=300))
    assert tree_inconsistency(groups[:, said], truth, groups).value == 0
    assert full_path_accuracy(groups[:, said], truth, groups).value == pytest.approx((truth == said).mean())
    apart = np.stack([level[np.where(random.random(300) < 0.5, truth, said)] for level in groups])
    assert tree_inconsistency(apart, truth, groups).value > 0.1
