"""The trees to open: every feature under the node it owns, every edge once, nothing believed of a stranger's file."""

from __future__ import annotations

import re

import pytest

from hsae.artifacts.documents.tree import read_concepts, read_edges, read_node_scores
from hsae.hierarchy import Taxonomy
from hsae.hierarchy.branching import branching
from hsae.views.tabs.hierarchy.trees import concepts_html, family_html, feature_tree_html, owners, wordnet_html
from tests.views.conftest import CLASSES, HOSTILE, latents

TAXONOMY = Taxonomy(CLASSES)
CAT, CARNIVORE, CAR = "n02121808", "n02075296", "n04285008"
ANIMAL = TAXONOMY.lch(CLASSES[:3])  # the tightest node with the classes of the carnivores: domestic animal


def test_features_stand_at_the_node_where_their_classes_meet():
    assert owners(latents(), TAXONOMY) == {CAT: [1], ANIMAL: [2], CAR: [3]}


def test_those_that_beat_chance_come_first():
    table = latents()
    for latent, coverage, q in ((5, 0.3, 0.01), (6, 0.9, 0.5), (7, 0.6, 0.001)):
        table.loc[latent, ["n_classes", "lch", "lch_height", "coverage", "q_value"]] = [2, CAT, 1.0, coverage, q]
    assert owners(table, TAXONOMY)[CAT] == [7, 5, 1, 6]


def test_the_tree_of_words_counts_what_is_here_and_below():
    html = wordnet_html(TAXONOMY, branching(TAXONOMY), latents())
    text = re.sub(r"<[^>]+>", " ", html)
    assert re.search(r"domestic animal\s+3 classes, 1 feature, 1 below", text)
    assert re.search(r"domestic cat\s+2 classes, 1 feature\b(?!,)", text)
    assert re.findall(r'data-field="latent" data-value="(\d+)"', html) == ["2", "1", "3"]
    assert "chihuahua" not in text.lower()  # a class that no feature owns


def test_a_child_stands_under_each_of_its_parents_and_a_loop_ends():
    html = feature_tree_html([(1, 2, 0.9), (3, 2, 0.8), (2, 5, 0.7)], latents())
    assert "2 features stand above others" in html
    assert html.count("<details") == 4  # 1, 2 under it, 3, 2 under it
    assert re.findall(r'data-value="(\d+)"', html) == ["1", "2", "5", "3", "2", "5"]
    assert "90 %" in html
    assert HOSTILE not in html
    assert "No feature of this layer" in feature_tree_html([(1, 2, 0.9), (2, 1, 0.9)], latents())


def test_a_tree_that_explodes_is_cut():
    layered = [
        (a, b, 1.0) for step in range(0, 20, 4) for a in range(step, step + 4) for b in range(step + 4, step + 8)
    ]
    html = feature_tree_html(layered, latents())
    assert html.count("data-value") <= 300


def test_a_feature_has_those_above_and_below_it():
    html = family_html([(1, 2, 0.9), (2, 5, 0.7), (2, 6, 0.6), (5, 6, 0.5)], latents(), 2)
    assert re.findall(r'data-value="(\d+)"', html) == ["1", "5", "6"]
    assert family_html([(1, 2, 0.9)], latents(), 3) == ""


@pytest.mark.parametrize(
    "edge", [[0, 24, 0.5], [-1, 2, 0.5], [1, 2], [1.0, 2, 0.5], [1, 2, 7], [1, 2, None], "ab", [True, 2, 0.5], None]
)
def test_edges_that_fit_nothing_are_left_out(edge):
    tree = {"layers": {"block_01": {"edges": [edge, [1, 2, 0.5, 3.0]]}}}
    assert read_edges(tree, "block_01", 24) == [(1, 2, 0.5)]


@pytest.mark.parametrize(
    "tree", [{}, {"layers": []}, {"layers": {"block_01": None}}, {"layers": {"block_01": {"edges": 3}}}]
)
def test_a_document_without_edges_has_none(tree):
    assert read_edges(tree, "block_01", 24) == []


def test_scores_of_a_node_by_layer():
    tree = {
        "nodes": [[CAT, 1, 2], [CARNIVORE, 4, 3]],
        "node_scores": {
            "block_01": {"latent": [4, 5], "f1": [0.5, 0.25]},
            "block_02": {"latent": [4, 99], "f1": [0.5, 0.25]},
            "block_03": {"latent": [4], "f1": [0.5]},
            "block_05": {"latent": [4, 6], "ap_gain": [0.5, 0.75]},
            "block_06": {"latent": [-1, -1], "ap_gain": [None, None]},
        },
    }
    sizes = dict.fromkeys((f"block_0{n}" for n in range(1, 7)), 24)
    assert read_node_scores(tree, CARNIVORE, sizes) == {"block_01": (5, 0.25), "block_05": (6, 0.75)}
    assert read_node_scores(tree, CAR, sizes) == {}
    assert read_node_scores({"nodes": 3}, CAT, sizes) == {}


def test_names_from_classes_the_artifact_lacks_have_no_place_in_its_tree():
    stranger = "n04461696"  # tow truck
    taxonomy = Taxonomy(CLASSES)
    assert stranger not in taxonomy.nodes
    table = latents().assign(node=stranger, named=1)
    assert owners(table, taxonomy) == {}
    kept = table.assign(node=CLASSES[0])
    assert sum(map(len, owners(kept, taxonomy).values())) == len(table)


def test_a_concept_lists_its_features_the_best_explained_first():
    cascade = {
        "concepts": [[9, CAT], [5, None], [2, HOSTILE]],
        "edges": [[1, 2, 0.3], [0, 5, 0.4], [0, 1, 0.9], [2, 3, 1], [2, 6, 2]],
    }
    concepts = read_concepts({"layers": {"block_01": {"cascade": cascade}}}, "block_01", 8)
    assert concepts == [(CAT, [1, 5]), (None, [6, 3]), (None, [2])]
    html = concepts_html(concepts, latents())
    assert re.findall(r'data-value="(\d+)"', html) == ["1", "5", "6", "3"]  # a concept of one feature is none
    assert "domestic cat" in html
    assert HOSTILE not in html
    assert concepts_html([], latents()) == ""


@pytest.mark.parametrize(
    "cascade",
    [None, 3, {"edges": 5}, {"concepts": [[1, CAT]], "edges": [[0, 8, 1.0], [1, 2, 1.0], [0, 1, "x"], [0], 7]}],
)
def test_concepts_of_a_strangers_file_are_as_if_they_were_not_there(cascade):
    assert read_concepts({"layers": {"block_01": {"cascade": cascade}}}, "block_01", 8) == []
