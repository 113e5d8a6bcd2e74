"""The tree of latents: planted nesting is found, dense and chance parents are not, reduction keeps all paths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.measures.wordnet import EdgeRule, feature_tree, learned_tree

N = 1200


def fires_on(*ranges: range) -> csr_array:
    """One latent a range of images, on all of which it fires with 1."""
    z = np.zeros((N, len(ranges)))
    for latent, images in enumerate(ranges):
        z[images, latent] = 1
    return csr_array(z)


def edges(tree) -> list[tuple[int, int]]:
    return [(int(p), int(c)) for p, c in zip(*tree.edges, strict=True)]


def test_a_chain_is_reduced_to_its_links():
    tree = feature_tree(fires_on(range(400), range(200), range(50), range(600, 700)))
    assert edges(tree) == [(0, 1), (1, 2)]
    assert tree.shared[0, 2] == 50  # an edge all the same
    assert tree.reach.toarray()[0].tolist() == [False, True, True, False]
    np.testing.assert_allclose(tree.containment(), 1)
    np.testing.assert_allclose(tree.lift(), [3, 6])


def test_every_part_of_the_rule_can_forbid_an_edge():
    child = range(100)
    assert edges(feature_tree(fires_on(range(300), child))) == [(0, 1)]
    assert edges(feature_tree(fires_on(range(11, 311), child))) == []  # contains 89 %
    assert edges(feature_tree(fires_on(range(10, 310), child))) == [(0, 1)]  # contains 90 %
    assert edges(feature_tree(fires_on(range(149), child))) == []  # not 1.5 times as large
    assert edges(feature_tree(fires_on(range(150), child))) == [(0, 1)]
    assert edges(feature_tree(fires_on(range(601), child))) == []  # fires everywhere: lift below 2
    assert edges(feature_tree(fires_on(range(500), range(3)))) == []  # three images can be luck
    assert edges(feature_tree(fires_on(range(500), range(3)), EdgeRule(alpha=0.5))) == [(0, 1)]


@pytest.mark.parametrize("n_images", [1200, 70_000, 100_000, 600_000])
def test_more_images_change_no_edge(n_images):
    """Images that both fire on times all images is more than 32 bits hold from about 80 000 images on."""
    z = np.zeros((n_images, 3), dtype=bool)
    for latent, share in enumerate((0.5, 0.3, 0.1)):
        z[: round(share * n_images), latent] = True
    z = csr_array(z)
    assert edges(feature_tree(z)) == [(0, 1), (1, 2)]
    assert edges(feature_tree(z, EdgeRule(lift=2.5))) == [(1, 2)]  # the first parent fires on half of all images


def test_independent_latents_have_no_edges_and_nested_ones_do():
    random = np.random.default_rng(0)
    z = (random.random((N, 60)) < random.uniform(0.01, 0.3, 60)).astype(float)
    assert edges(feature_tree(csr_array(z))) == []
    z[:, :2] = random.random((N, 2)) < 0.1
    z[:, 59] = (z[:, 0] + z[:, 1]) > 0
    assert edges(feature_tree(csr_array(z))) == [(59, 0), (59, 1)]


@given(seed=st.integers(0, 40))
def test_reduction_keeps_every_path_and_no_edge_it_could_spare(seed):
    """Against reachability worked out by repeated dense products, and removal of each edge in turn."""
    random = np.random.default_rng(seed)
    z = csr_array(np.stack([np.arange(300) < random.integers(1, 300) for _ in range(9)], axis=1).astype(float))
    tree = feature_tree(z, EdgeRule(containment=0.6, size_ratio=1.1, lift=1.0, alpha=1e9))

    def closure(edges: np.ndarray) -> np.ndarray:
        reach = edges
        for _ in range(10):
            reach = reach | (reach.astype(int) @ edges.astype(int) > 0)
        return reach

    every, kept = tree.shared.toarray() > 0, tree.reduced.toarray() > 0
    np.testing.assert_array_equal(tree.reach.toarray(), closure(every))
    np.testing.assert_array_equal(closure(kept), closure(every))
    for p, c in zip(*np.nonzero(kept), strict=True):
        fewer = kept.copy()
        fewer[p, c] = False
        assert not closure(fewer)[p, c]
    assert not tree.reach.diagonal().any()


def test_counting_in_blocks_gives_the_same(monkeypatch):
    z = csr_array((np.random.default_rng(0).random((200, 30)) < 0.2).astype(float))
    rule = EdgeRule(containment=0.2, size_ratio=1.01, lift=1.0, alpha=1e9)
    whole = feature_tree(z, rule)
    monkeypatch.setattr("hsae.measures.wordnet.tree._CHILDREN", 7)
    assert edges(feature_tree(z, rule)) == edges(whole) != []


def test_dead_layers_and_rules_that_allow_cycles():
    tree = feature_tree(csr_array((10, 4)))
    assert edges(tree) == []
    assert len(tree.lift()) == 0
    with pytest.raises(InputError, match="size ratio"):
        EdgeRule(size_ratio=1.0)


@given(seed=st.integers(0, 20), containment=st.sampled_from([0.6, 0.8, 0.95]))
def test_a_stricter_tree_is_the_one_made_by_the_stricter_rule(seed, containment):
    random = np.random.default_rng(seed)
    z = csr_array(np.stack([np.arange(300) < random.integers(1, 300) for _ in range(9)], axis=1) * 1.0)
    z = z.multiply(csr_array(random.random(z.shape) < 0.95)).tocsr()
    loose = feature_tree(z, EdgeRule(containment=0.5))
    assert edges(loose.stricter(containment)) == edges(feature_tree(z, EdgeRule(containment=containment)))
    assert edges(loose.stricter(0.5)) == edges(loose)


def test_a_learned_tree_has_the_given_edges_where_both_fire():
    z = fires_on(range(100), range(50, 120), range(300, 310), range(0), range(200))
    tree = learned_tree(z, np.array([4, 4, 4, 4, -1]))
    assert edges(tree) == [(4, 0), (4, 1)]  # the third never fires with its parent, the fourth never at all
    assert tree.containment().tolist() == [1.0, 1.0]
    assert tree.sizes.tolist() == [100, 70, 10, 0, 200]
    assert edges(learned_tree(z, np.full(5, -1))) == []
