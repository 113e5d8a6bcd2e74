"""The tree document of planted layers is plain JSON, lists the nesting, and names the layer where nodes emerge."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from hsae.artifacts.documents.tree import write_tree
from hsae.artifacts.strangers_json import check_plain
from hsae.hierarchy import Taxonomy
from hsae.measures.wordnet import multi_class_nodes
from hsae.measures.wordnet.node_probes import fit_node_probes
from hsae.report.hierarchy import LabelledLatents
from hsae.report.tree import layer_structure
from tests.hierarchy.conftest import SMALL

PER_CLASS = 40
CAT, DOG, CARNIVORE = "n02121808", "n02084071", "n02075296"


@pytest.fixture(scope="module")
def taxonomy():
    return Taxonomy(SMALL)


def structure(taxonomy, nodes: list[str], x_knows: bool = True):
    """A layer whose latents fire on the images under each of `nodes`, and nowhere else."""
    labels = np.repeat(np.arange(16), PER_CLASS)
    fires = taxonomy.members[[taxonomy.position(n) for n in nodes]].T[labels].astype(np.float32)
    x = torch.randn(len(labels), 16)
    if x_knows:
        x = x + 10 * torch.nn.functional.one_hot(torch.from_numpy(labels), 16)
    members = torch.tensor(taxonomy.members[multi_class_nodes(taxonomy)])
    probes = fit_node_probes(x, torch.from_numpy(labels), members)
    decoder = torch.randn(len(nodes), 16)
    return layer_structure(LabelledLatents(csr_array(fires), labels, taxonomy), x, decoder, probes, tau=0.5)


def test_planted_nesting_is_listed_and_agrees_with_wordnet(taxonomy):
    tree = structure(taxonomy, [CARNIVORE, CAT, DOG, SMALL[9]]).tree
    assert [edge[:3] for edge in tree["edges"]] == [[0, 1, 1.0], [0, 2, 1.0]]
    assert tree["latents"] == [[0, 6 * PER_CLASS // 2, CARNIVORE], [1, 60, CAT], [2, 40, DOG]]
    assert tree["scores"]["0.9"]["precision"] == tree["scores"]["0.5"]["precision"] == 1
    assert tree["checks"]["0.9"]["acyclic"] is True
    assert tree["absorption"]["soft"] == pytest.approx(0)


def test_the_document_is_plain_and_says_where_nodes_emerge(taxonomy):
    early = structure(taxonomy, [SMALL[9], SMALL[3]], x_knows=False)
    late = structure(taxonomy, [CARNIVORE, CAT, SMALL[3]])
    found = write_tree(taxonomy, {"block_01": early, "block_02": late})
    check_plain(found, "tree.json")
    names = [node for node, _, _ in found["nodes"]]
    at = names.index(CARNIVORE)
    assert found["emergence"]["emergence"][at] == "block_02"
    assert found["node_scores"]["block_02"]["f1"][at] == 1
    assert found["node_scores"]["block_02"]["latent"][at] == 0
    assert found["node_scores"]["block_02"]["probe_f1"][at] > 0.95 > found["node_scores"]["block_01"]["probe_f1"][at]
    assert set(found["layers"]) == {"block_01", "block_02"}


def test_a_dead_layer_has_a_document(taxonomy):
    labels = np.repeat(np.arange(16), 4)
    x, members = torch.randn(64, 4), torch.tensor(taxonomy.members[multi_class_nodes(taxonomy)])
    probes = fit_node_probes(x, torch.from_numpy(labels), members)
    dead = layer_structure(LabelledLatents(csr_array((64, 5)), labels, taxonomy), x, torch.randn(5, 4), probes, 0.5)
    found = write_tree(taxonomy, {"block_01": dead})
    check_plain(found, "tree.json")
    assert set(found["emergence"]["emergence"]) == {None}
    assert found["layers"]["block_01"]["edges"] == []
