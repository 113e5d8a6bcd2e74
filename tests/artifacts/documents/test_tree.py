"""The tree document of planted layers is plain JSON, lists the nesting, and names the layer where nodes emerge."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from hsae.artifacts.documents.tree import read_node_scores, write_tree
from hsae.artifacts.strangers_json import check_plain
from hsae.hierarchy import Taxonomy, distinct_nodes
from hsae.measures.wordnet import LabelledScores
from hsae.measures.wordnet.node_probes import fit_node_probes
from hsae.report.cascade import layer_cascade
from hsae.report.hierarchy import LabelledLatents
from hsae.report.tree import layer_structure
from tests.hierarchy.conftest import SMALL

PER_CLASS = 40
CAT, DOG, CARNIVORE = "n02121808", "n02084071", "n02075296"


@pytest.fixture(scope="module")
def taxonomy():
    return Taxonomy(SMALL)


def labelled(taxonomy, nodes: list[str]) -> LabelledLatents:
    """Latents that fire on the images under each of `nodes`, and nowhere else."""
    labels = np.repeat(np.arange(16), PER_CLASS)
    fires = taxonomy.members[[taxonomy.position(n) for n in nodes]].T[labels].astype(np.float32)
    return LabelledLatents(csr_array(fires), labels, taxonomy)


def structure(taxonomy, nodes: list[str], x_knows: bool = True):
    """A layer with such latents."""
    data = labelled(taxonomy, nodes)
    labels, fires = data.labels, data.z.toarray()
    x = torch.randn(len(labels), 16)
    if x_knows:
        x = x + 10 * torch.nn.functional.one_hot(torch.from_numpy(labels), 16)
    members = torch.tensor(taxonomy.members[distinct_nodes(taxonomy)])
    probes = fit_node_probes(x, torch.from_numpy(labels), members)
    decoder = torch.randn(len(nodes), 16)
    scores = LabelledScores(fires + 0.01 * np.random.default_rng(0).random(fires.shape, np.float32), labels)
    return layer_structure(data, scores, x, decoder, probes, tau=0.5)


def test_planted_nesting_is_listed_and_agrees_with_wordnet(taxonomy):
    tree = structure(taxonomy, [CARNIVORE, CAT, DOG, SMALL[9]]).tree
    assert [edge[:3] for edge in tree["edges"]] == [[0, 1, 1.0], [0, 2, 1.0]]
    assert tree["latents"] == [[0, 6 * PER_CLASS // 2, CARNIVORE], [1, 60, CAT], [2, 40, DOG]]
    assert tree["scores"]["0.9"]["precision"] == tree["scores"]["0.5"]["precision"] == 1
    assert tree["checks"]["0.9"]["acyclic"] is True
    assert tree["absorption"]["soft"] == pytest.approx(0)


def test_planted_families_of_rows_are_concepts_that_agree_with_wordnet(taxonomy):
    rows = torch.eye(16)[[0] * 32 + [1] * 32] + 0.05 * torch.randn(64, 16)
    found = layer_cascade(labelled(taxonomy, [CAT, DOG, CARNIVORE, CAT] * 8 + [SMALL[9]] * 32), rows, tau=0.5)
    assert len(found["concepts"]) == 8
    assert found["fvu"] < 0.5
    below = [{latent for concept, latent, _ in found["edges"] if concept == c} for c in range(8)]
    assert all(max(latents) < 32 or min(latents) >= 32 for latents in below if latents), "one family a concept"
    assert sum(map(len, below)) > 32
    assert CARNIVORE in [node for _, node in found["concepts"]]
    assert found["scores"]["precision"] > 0


def test_the_document_is_plain_and_says_where_nodes_appear(taxonomy):
    early = structure(taxonomy, [SMALL[9], SMALL[10]], x_knows=False)
    late = structure(taxonomy, [CARNIVORE, CAT, SMALL[3]])
    document = write_tree(taxonomy, {"block_01": early, "block_02": late, "block_03": late})
    check_plain(document, "tree.json")
    names = [node for node, _, _ in document["nodes"]]
    at = names.index(CARNIVORE)
    assert document["emergence"]["appearance"][at] == "block_02"
    assert document["emergence"]["random"]["appearance"][at] is None
    first, second = (document["node_scores"][name] for name in ("block_01", "block_02"))
    assert (second["latent"][at], second["ap_gain"][at], second["p"][at]) == (0, 1, 0.001)
    assert second["chance"][at] < 0.2
    assert second["probe_ap_gain"][at] > 0.95 > first["probe_ap_gain"][at]
    root = names.index(document["nodes"][-1][0])
    assert (second["latent"][root], second["ap_gain"][root]) == (-1, None)  # all images are under it
    assert set(document["layers"]) == {"block_01", "block_02", "block_03"}
    assert read_node_scores(document, CARNIVORE, {"block_02": 3}) == {"block_02": (0, 1.0)}


def test_a_dead_layer_has_a_document(taxonomy):
    labels = np.repeat(np.arange(16), 4)
    x, members = torch.randn(64, 4), torch.tensor(taxonomy.members[distinct_nodes(taxonomy)])
    probes = fit_node_probes(x, torch.from_numpy(labels), members)
    data = LabelledLatents(csr_array((64, 5)), labels, taxonomy)
    scores = LabelledScores(np.full((64, 5), -1, np.float32), labels)
    dead = layer_structure(data, scores, x, torch.randn(5, 4), probes, 0.5)
    document = write_tree(taxonomy, {"block_01": dead, "block_02": dead})
    check_plain(document, "tree.json")
    assert set(document["emergence"]["appearance"]) == {None}
    assert document["layers"]["block_01"]["edges"] == []
