"""Node chosen on one half and scored on the other; a planted layer is significant and its shuffled labels are not."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from hsae.hierarchy import Taxonomy
from hsae.report.hierarchy import LabelledLatents, hierarchy_columns, layer_summary
from tests.hierarchy.conftest import SMALL

CAT = "n02121808"
PER_CLASS = 12


@pytest.fixture(scope="module")
def taxonomy():
    return Taxonomy(SMALL)


def planted(taxonomy, nodes, seed=0, rate=0.95) -> LabelledLatents:
    """One latent a node: fires on most images of the node's classes and few others."""
    random = np.random.default_rng(seed)
    labels = np.repeat(np.arange(16), PER_CLASS)
    inside = np.stack([taxonomy.members[taxonomy.position(n)][labels] for n in nodes], axis=1)
    fires = random.random(inside.shape) < np.where(inside, rate, 0.01)
    return LabelledLatents(csr_array(fires * (0.5 + random.random(inside.shape))), labels, taxonomy)


def multi_class_nodes(taxonomy):
    return [n for n in taxonomy.nodes if 2 <= taxonomy.leaf_count(n) <= 8]


def test_planted_nodes_are_found_and_significant(taxonomy):
    nodes = multi_class_nodes(taxonomy)
    table = hierarchy_columns(planted(taxonomy, nodes))
    tightest = [taxonomy.lch(taxonomy.classes_under(n)) for n in nodes]
    assert table.best_node.tolist() == table.lch.tolist() == tightest
    assert (table.best_node_f1 == 1).all()
    assert (table.coverage == 1).all()
    assert (table.q_value < 0.05).mean() > 0.8


def test_the_f1_comes_from_the_half_that_did_not_choose():
    """A latent that fires on cats in one half only: the node is found there, and the other half denies it."""
    from hsae.measures.splits import halves

    taxonomy = Taxonomy(SMALL)
    data = planted(taxonomy, [CAT], rate=1.0)
    first = halves(data.labels)
    z = data.z.toarray() * (data.labels < 3)[:, None]
    chosen = LabelledLatents(csr_array(z * first[:, None]), data.labels, taxonomy)
    table = hierarchy_columns(chosen, tau=0.6)
    assert table.best_node[0] == CAT
    assert table.best_node_f1[0] == 0
    other = hierarchy_columns(LabelledLatents(csr_array(z * ~first[:, None]), data.labels, taxonomy), tau=0.6)
    assert other.best_node[0] is None
    assert np.isnan(other.best_node_f1[0])


def test_the_summary_sees_structure_and_not_its_shadow(taxonomy):
    data = planted(taxonomy, multi_class_nodes(taxonomy))
    found = layer_summary(data)
    assert found["layer_p_value"] == pytest.approx(1 / 101)
    assert found["mean_coverage"] > found["null_mean_coverage_high"]
    assert found["mean_height"] < found["null_mean_height_low"]
    assert found["mean_log2_coverage"] > 1
    assert found["median_log2_coverage"] > 1
    order = np.random.default_rng(1).permutation(16)
    shuffled = layer_summary(LabelledLatents(data.z, order[data.labels], taxonomy))
    assert shuffled["layer_p_value"] > 0.01
    assert shuffled["mean_log2_coverage"] < 1
    assert shuffled["median_log2_coverage"] < 1
    assert set(found["rules"]) == {"tau 0.25", "tau 0.5", "tau 0.75", "relative mean 0.5", "top 16 images"}
    assert found["rules"]["tau 0.5"]["n_multi_class"] == found["n_multi_class"]


def test_counts_of_no_one_and_several_classes_add_up(taxonomy):
    z = planted(taxonomy, [SMALL[0], CAT]).z.toarray()
    data = LabelledLatents(
        csr_array(np.hstack([z, np.zeros((len(z), 1))])), np.repeat(np.arange(16), PER_CLASS), taxonomy
    )
    found = layer_summary(data)
    assert (found["n_unassigned"], found["n_single_class"], found["n_multi_class"]) == (1, 1, 1)
    assert found["mean_weighted_coverage"] == pytest.approx(data.rates().rates[1, :3].mean())


def test_a_dead_layer_has_a_summary_without_numbers(taxonomy):
    data = LabelledLatents(csr_array((32, 4)), np.repeat(np.arange(16), 2), taxonomy)
    found = layer_summary(data)
    assert found["n_unassigned"] == 4
    assert found["median_height"] is found["mean_coverage"] is found["share_significant"] is None
    assert hierarchy_columns(data).best_node.isna().all()
