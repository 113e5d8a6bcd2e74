"""Planted absorption is measured exactly, its absence is 0, and the matched form sees through weak examples."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from hsae.errors import InputError
from hsae.measures.wordnet import feature_tree, hard_absorption, least_cosine, matched_soft_absorption, soft_absorption

N = 400


def nested(child_value: float, elsewhere: float = 1.0) -> csr_array:
    """The parent fires on 0..99, the child on 0..29; the parent's value is child_value there and 1 beyond."""
    z = np.zeros((N, 2))
    z[:100, 0] = elsewhere
    z[:30, 0] = child_value
    z[:30, 1] = 1
    return csr_array(z)


@pytest.mark.parametrize(("value", "expected"), [(1.0, 0), (0.25, 0.75), (2.0, 0)])
def test_soft_absorption_is_what_the_parent_loses_where_the_child_fires(value, expected):
    z = nested(value)
    assert soft_absorption(z, feature_tree(z)).tolist() == [pytest.approx(expected)]


def test_a_parent_that_never_fires_alone_has_no_score():
    z = nested(1.0).toarray()
    z[30:100, 0] = 0
    z[100:160, 0] = 1
    tree = feature_tree(csr_array(z))
    assert len(tree.edges[0]) == 1
    z[100:160, 0] = 0
    assert np.isnan(soft_absorption(csr_array(z), tree)).all()


def test_matching_by_class_sees_that_the_childs_class_is_merely_weak():
    """Class 0 (images 0..49) excites the parent by 0.5, with or without the child; the other classes by 1."""
    z = nested(0.5).toarray()
    z[30:50, 0] = 0.5
    labels = np.repeat(np.arange(8), 50)
    z, tree = csr_array(z), feature_tree(csr_array(z))
    assert soft_absorption(z, tree)[0] == pytest.approx(1 - 0.5 / ((20 * 0.5 + 50) / 70))
    assert matched_soft_absorption(z, tree, labels)[0] == pytest.approx(0)
    absorbed = z.toarray()
    absorbed[:30, 0] = 0.1
    assert matched_soft_absorption(csr_array(absorbed), tree, labels)[0] == pytest.approx(0.8)
    assert np.isnan(matched_soft_absorption(z, tree, np.arange(N) // 30)).all()  # no class has both kinds


def hard(z, cosines, yes=None, under=None, least=0.1, latent=0):
    n = len(z)
    yes = np.ones((n, 1), bool) if yes is None else yes
    under = np.ones((n, 1), bool) if under is None else under
    return hard_absorption(
        csr_array(np.array(z, float)), np.array(cosines)[:, None], np.array([latent]), yes, under, least
    )[0]


def test_hard_absorption_needs_every_one_of_its_conditions():
    silent = [[0, 1, 0]] * 4
    assert hard(silent, [0.9, 0.5, 0.0]) == 1
    assert hard([[1, 1, 0]] * 4, [0.9, 0.5, 0.0]) == 0  # the latent itself speaks
    assert hard(silent, [0.9, 0.05, 0.0]) == 0  # no latent points along the probe
    assert hard([[0, 0, 0]] * 4, [0.9, 0.5, 0.0]) == 0  # nobody speaks
    assert hard(silent, [0.9, 0.5, 0.0], yes=np.array([[1], [0], [0], [0]], bool)) == 0.25
    under = np.array([[1], [1], [0], [0]], bool)
    assert hard(silent, [0.9, 0.5, 0.0], yes=~under, under=under) == 0
    assert np.isnan(hard(silent, [0.9, 0.5, 0.0], under=np.zeros((4, 1), bool)))
    assert np.isnan(hard(silent, [0.9, 0.5, 0.0], latent=-1))  # a node that no latent stands for


@pytest.mark.parametrize("d_in", [64, 384, 2304])
def test_a_random_direction_hardly_ever_absorbs_whatever_the_width(d_in):
    random = np.random.default_rng(0)
    first, others = random.standard_normal(20_000), random.chisquare(d_in - 1, 20_000)
    cosines = first / np.sqrt(first**2 + others)
    assert (cosines >= least_cosine(d_in)).mean() < 1e-4
    assert (cosines >= 0.1).mean() < 1e-4 or d_in < 2304  # what one threshold for all widths would let through
    assert least_cosine(2304) == pytest.approx(0.1)
    assert hard([[0, 1, 0]], [0.9, least_cosine(d_in) + 1e-6, 0.0], least=least_cosine(d_in)) == 1
    assert hard([[0, 1, 0]], [0.9, least_cosine(d_in) - 1e-6, 0.0], least=least_cosine(d_in)) == 0


def test_the_absorber_supplies_at_least_two_fifths():
    three = [[0, 1, 1, 1]]
    assert hard(three, [0.9, 0.3, 0.3, 0.3]) == 0  # a third each
    assert hard(three, [0.9, 0.4, 0.3, 0.3]) == 1


def test_shapes_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="m nodes"):
        hard([[0, 1, 0]], [0.9, 0.5])
