"""A tree made from WordNet agrees with it fully, a shuffled one does not; checks and correlation by hand."""

import numpy as np
import pytest
import scipy.stats
from scipy.sparse import csr_array

from hsae.hierarchy import MISSING, Taxonomy
from hsae.measures.wordnet import feature_tree, score_tree, score_tree_with_null, taxonomy_checks
from hsae.measures.wordnet.tree_scores import spearman
from tests.hierarchy.conftest import SMALL

PER_CLASS = 30
CAT, DOG, CARNIVORE, ANIMAL = "n02121808", "n02084071", "n02075296", "n00015388"


@pytest.fixture(scope="module")
def taxonomy() -> Taxonomy:
    return Taxonomy(SMALL)


def latents_of(taxonomy: Taxonomy, nodes: list[str]) -> tuple[csr_array, np.ndarray]:
    """Latents that fire exactly on the images under each node, and the nodes' positions."""
    position = np.array([taxonomy.position(node) for node in nodes])
    labels = np.repeat(np.arange(16), PER_CLASS)
    return csr_array(taxonomy.members[position].T[labels].astype(float)), position


def test_latents_that_are_nodes_agree_with_wordnet(taxonomy):
    z, nodes = latents_of(taxonomy, [ANIMAL, CARNIVORE, CAT, DOG])
    tree = feature_tree(z)
    scores = score_tree(tree, nodes, taxonomy)
    assert (scores.n_edges, scores.precision, scores.equal, scores.reversed, scores.unrelated) == (2, 1, 0, 0, 0)
    assert scores.recall == pytest.approx(2 / 5)  # animal (9 of 16 classes) has lift below 2: 2 of 5 pairs are linked


def test_equal_reversed_and_unrelated_edges_are_told_apart(taxonomy):
    z, _ = latents_of(taxonomy, [CARNIVORE, CAT])
    tree = feature_tree(z)
    at = taxonomy.position
    for nodes, kind in {
        (CARNIVORE, CAT): "precision",
        (CAT, CAT): "equal",
        (CAT, CARNIVORE): "reversed",
        (CAT, DOG): "unrelated",
    }.items():
        scores = score_tree(tree, np.array([at(node) for node in nodes]), taxonomy)
        assert {k: getattr(scores, k) for k in ("precision", "equal", "reversed", "unrelated")} == {
            k: float(k == kind) for k in ("precision", "equal", "reversed", "unrelated")
        }
    nothing = score_tree(tree, np.array([at(CAT), MISSING]), taxonomy)
    assert nothing.n_edges == 0
    assert nothing.precision is nothing.recall is nothing.distance_correlation is None


def noisy_tree(taxonomy: Taxonomy, seed: int = 0):
    """Two latents for every node of 2 to 7 classes and for every class, in classes with images of their own."""
    random = np.random.default_rng(seed)
    nodes = [n for n in taxonomy.nodes if taxonomy.leaf_count(n) <= 7 and taxonomy.lch(taxonomy.classes_under(n)) == n]
    z, position = latents_of(taxonomy, [*nodes, *nodes])
    kept = random.random(z.shape) < 0.97
    return feature_tree(csr_array(z.toarray() * kept)), position


def test_the_null_is_beaten_by_wordnet_and_not_by_shuffled_nodes(taxonomy):
    tree, nodes = noisy_tree(taxonomy)
    scores = score_tree_with_null(tree, nodes, taxonomy, shuffles=100)
    assert scores["precision"] > 0.9
    assert scores["null_precision_high"] < scores["precision"]
    assert scores["p_precision"] == scores["p_recall"] == pytest.approx(1 / 101)
    assert scores["distance_correlation"] > 0.3
    shuffled = np.random.default_rng(3).permutation(nodes)
    control = score_tree_with_null(tree, shuffled, taxonomy, shuffles=100)
    assert control["p_precision"] > 0.01
    assert abs(control["distance_correlation"]) < 0.3


def test_shuffling_keeps_nodes_within_their_size(taxonomy):
    from hsae.measures.wordnet.tree_scores import _shuffle_nodes

    sizes = np.array([10, 10, 10, 500, 500, 500])
    nodes = np.array([1, 2, 3, 7, 8, MISSING])
    seen = [_shuffle_nodes(nodes, sizes, np.random.default_rng(seed)) for seed in range(20)]
    assert all(sorted(s[:3]) == [1, 2, 3] and sorted(s[3:5]) == [7, 8] and s[5] == MISSING for s in seen)
    assert len({tuple(s) for s in seen}) > 5


def test_checks_by_hand():
    """Parent on 0..99; children on 0..39 and 30..59; a grandchild on 0..19; nothing else fires."""
    z = np.zeros((400, 4))
    for latent, images in enumerate([range(100), range(40), range(30, 60), range(20)]):
        z[images, latent] = 1
    taxonomy = Taxonomy(SMALL)
    nodes = np.array([taxonomy.position(n) for n in (CARNIVORE, CAT, DOG, SMALL[0])])
    found = taxonomy_checks(feature_tree(csr_array(z)), csr_array(z), nodes, taxonomy)
    assert (found["n_edges"], found["n_roots"], found["depth"]) == (3, 1, 2)
    assert found["containment"] == 1
    assert found["strictness"] == 2.5  # 100/40, 100/30, 40/20
    assert found["meaning"] == 1
    assert found["exclusivity"] == pytest.approx(1 - 10 / 60)
    assert found["exhaustiveness"] == pytest.approx((60 / 100 + 20 / 40) / 2)
    assert found["transitivity"] == 1
    assert found["acyclic"] is True


def test_a_tree_without_edges_has_checks_without_numbers(taxonomy):
    z, nodes = latents_of(taxonomy, [CAT, DOG])
    found = taxonomy_checks(feature_tree(z), z, nodes, taxonomy)
    assert found["n_edges"] == found["depth"] == 0
    assert {found[k] for k in ("containment", "strictness", "meaning", "exclusivity", "transitivity")} == {None}
    scores = score_tree_with_null(feature_tree(z), nodes, taxonomy, shuffles=5)
    assert scores["precision"] is None
    assert "null_precision" not in scores


def test_spearman_is_scipys():
    random = np.random.default_rng(0)
    a, b = random.integers(0, 5, 50).astype(float), random.random(50)
    assert spearman(a, b) == pytest.approx(scipy.stats.spearmanr(a, b).statistic)
    assert spearman(a[:2], b[:2]) is None
    assert spearman(np.ones(50), b) is None
