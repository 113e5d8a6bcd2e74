"""Planted nodes are found by rates, by rank and beyond likeness; a silent layer has nulls, not crashes."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from hsae.artifacts.strangers_json import check_plain
from hsae.hierarchy import Taxonomy
from hsae.report.hierarchy import LabelledLatents
from hsae.report.nulls import likeness_parts, precision_parts, weighted_parts
from tests.hierarchy.conftest import SMALL
from tests.report.test_hierarchy import planted

CAT, WHALE, CARNIVORE = "n02121808", "n02062744", "n02075296"


@pytest.fixture(scope="module")
def taxonomy():
    return Taxonomy(SMALL)


def silent(taxonomy) -> LabelledLatents:
    labels = np.arange(16).repeat(2)
    return LabelledLatents(csr_array((32, 2), dtype=np.float32), labels, taxonomy)


def test_planted_nodes_stand_out_from_shuffled_rates(taxonomy):
    columns, numbers = weighted_parts(planted(taxonomy, [CAT, CARNIVORE]))
    assert (columns["rate_coverage_p_value"] < 0.05).all()
    assert (columns["rate_f1_p_value"] < 0.05).all()
    assert numbers["rate_nulls"]["f1"]["n_tested"] == 2
    assert numbers["rate_nulls"]["f1"]["share_p_below_0.05"] == 1


def test_the_node_ranked_best_is_the_planted_one_and_not_the_root(taxonomy):
    columns, numbers = precision_parts(planted(taxonomy, [CAT, CARNIVORE]))
    assert columns["ap_node"].tolist() == [CAT, CARNIVORE]
    assert (columns["ap"] > 0.8).all()
    assert numbers["average_precision"]["median_gain"] > 0.7
    assert numbers["average_precision"]["median_chance"] < 0.5


def test_precision_is_scored_on_images_that_did_not_choose(taxonomy):
    """Noise: the best of 70 nodes on one half is no better than chance on the other."""
    random = np.random.default_rng(0)
    z = csr_array((random.random((160, 60)) * (random.random((160, 60)) < 0.2)).astype(np.float32))
    _, numbers = precision_parts(LabelledLatents(z, np.arange(16).repeat(10), taxonomy))
    assert abs(numbers["average_precision"]["median_gain"]) < 0.1


def test_likeness_that_is_the_taxonomy_leaves_nothing(taxonomy):
    data = planted(taxonomy, [CARNIVORE])
    inside = taxonomy.members[taxonomy.position(CARNIVORE)].astype(int)
    alike, _ = likeness_parts(data, inside, 0.5)
    mixed, numbers = likeness_parts(data, np.arange(16) % 2, 0.5)
    assert alike["likeness_p_value"][0] == 1
    assert mixed["likeness_p_value"][0] < 0.05
    assert numbers["likeness_null"]["n_groups"] == 2
    assert numbers["likeness_null"]["null_mean_coverage_high"] < numbers["likeness_null"]["mean_coverage"]
    assert likeness_parts(data, None, 0.5) == ({}, {})


def test_a_silent_layer_has_columns_of_nothing(taxonomy):
    data = silent(taxonomy)
    for columns, numbers in (
        weighted_parts(data),
        precision_parts(data),
        likeness_parts(data, np.zeros(16, int), 0.5),
    ):
        check_plain(numbers, "curves.json")
        for name, values in columns.items():
            assert all(value is None or np.isnan(value) for value in values), name
