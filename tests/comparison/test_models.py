"""Two planted models: where partners are, what is said of them, and that the document and figure say the same."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_array

from hsae.artifacts.strangers_json import check_plain
from hsae.comparison.document import comparison_document
from hsae.comparison.figure import pair_table, write_comparison
from hsae.comparison.models import Comparison, Model, compare
from hsae.comparison.tables import concept_counts, concepts, height_table, pair_numbers, side_by_side
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from tests.measures.planted_latents import disguised, sparse_random

# tabby, Persian cat, Siamese cat, beagle, German shepherd, fire engine
CLASSES = ("n02123045", "n02123394", "n02123597", "n02088364", "n02106662", "n03345487")
CAT, TABBY, BEAGLE, ENGINE = "n02121808", "n02123045", "n02088364", "n03345487"
LABELS = np.arange(400) % len(CLASSES)
SHALLOW, DEEP = sparse_random(0), sparse_random(1)
COPY, ORDER = disguised(DEEP)


def table(z: csr_array, nodes: dict[int, tuple[str, float]]) -> pd.DataFrame:
    frequency = np.diff(z.tocsc().indptr) / z.shape[0]
    node = [nodes.get(i, (None, None))[0] for i in range(z.shape[1])]
    f1 = [nodes.get(i, (None, np.nan))[1] for i in range(z.shape[1])]
    known = pd.DataFrame({"best_node": pd.Series(node, dtype=object), "best_node_f1": f1})
    return known.assign(frequency=frequency, dead=frequency == 0, label_entropy=1.5)


@pytest.fixture(scope="module")
def planted() -> Comparison:
    """Layer 2 of A is layer 1 of B in disguise; A's layer 1 and B's layer 2 have nothing in common with anything."""
    inverse = np.argsort(ORDER)
    nodes = {
        "a1": {0: (TABBY, 0.6), 1: (ENGINE, 0.4)},
        "a2": {0: (CAT, 0.9), 1: (TABBY, 0.8), 2: (BEAGLE, 0.7)},
        "b1": {inverse[0]: (CAT, 0.7), inverse[1]: (TABBY, 0.5), inverse[2]: (ENGINE, 0.9)},
        "b2": {},
    }
    stranger = csr_array(sparse_random(7).toarray() * (np.arange(30) > 0))  # latent 0 is dead
    a = Model(
        "one", {"a1": SHALLOW, "a2": DEEP}, {"a1": table(SHALLOW, nodes["a1"]), "a2": table(DEEP, nodes["a2"])}, {}
    )
    b = Model("two", {"b1": COPY, "b2": stranger}, {"b1": table(COPY, nodes["b1"]), "b2": table(stranger, {})}, {})
    return compare(a, b, LABELS, Taxonomy(CLASSES))


def test_partners_are_found_in_the_right_layer(planted):
    best = planted.partners("a2")
    assert best.layer.tolist() == [0] * 30
    assert best.partner.tolist() == np.argsort(ORDER).tolist()
    assert best.beyond.all()
    assert best.mutual.all()
    assert planted.partners("a1").beyond.mean() <= 0.1
    back = planted.reversed.partners("b1")
    assert back.layer.tolist() == [1] * 30
    assert back.partner.tolist() == ORDER.tolist()
    assert np.isnan(planted.reversed.partners("b2").score).tolist() == [True] + [False] * 29


def test_numbers_of_a_pair_stand_beside_chance(planted):
    copy, stranger = (pair_numbers(planted, "a2", other) for other in ("b1", "b2"))
    for score in ("overlap9", "overlap20", "correlation"):
        assert copy[score]["partner"] == copy[score]["partner_back"] == copy[score]["mutual"] == 1
        assert copy[score]["best"] > 2 * copy[score]["chance"]["shuffled"]["best"]
        assert stranger[score]["best"] == pytest.approx(stranger[score]["chance"]["shuffled"]["best"], rel=0.2)
        assert stranger[score]["partner"] <= 0.15  # of 30 latents
    assert copy["overlap9"]["chance_pair"] == 9 / 400
    assert copy["r2"]["median"] > 0.9
    assert copy["r2"]["above_half"] == 1
    assert stranger["r2"]["median"] < 0.1
    assert stranger["r2"]["n"] == 29


def test_shared_nodes_are_counted_among_partners_that_have_one(planted):
    shared = pair_numbers(planted, "a2", "b1")["shared_node"]
    assert (shared["n"], shared["share"]) == (3, pytest.approx(2 / 3))  # cat and tabby agree, beagle is a fire engine
    assert shared["chance"] == pytest.approx((1 / 3 + 1 / 3 + 0) / 3)
    assert pair_numbers(planted, "a2", "b2")["shared_node"]["share"] is None


def test_partners_by_height(planted):
    rows = height_table(planted).set_index("height")
    assert rows.n.to_dict() == {0: 4, 1: 1}  # tabby, engine, tabby, beagle; cat
    assert rows.share[1] == 1
    assert rows.share[0] == pytest.approx(2 / 4, abs=0.26)  # the two of layer 1 have no partner but by chance
    assert rows.chance.max() <= 0.25
    assert list(height_table(planted.reversed).n) == [2, 1]


def test_concepts_that_both_have_or_one(planted):
    found = concepts(planted).set_index("node")
    assert set(found.index) == {CAT, TABBY, BEAGLE, ENGINE}
    assert (found.a_layer[TABBY], found.a_latent[TABBY], found.a_f1[TABBY], found.a_first[TABBY]) == (
        "a2",
        1,
        0.8,
        "a1",
    )
    assert pd.isna(found.a_f1[ENGINE])  # 0.4 is too little
    assert pd.isna(found.b_f1[BEAGLE])
    assert found.b_f1[ENGINE] == 0.9
    assert (found.height[CAT], found.leaf_count[CAT]) == (1, 3)
    counts = concept_counts(planted, concepts(planted))
    sets = 6 + 4  # classes; cats, dogs, carnivores, all
    assert counts == {"a": 3, "b": 3, "both": 2, "chance": pytest.approx(9 / sets)}


def test_a_latent_whose_name_was_refused_has_no_concept_and_no_node(planted):
    inverse = np.argsort(ORDER)
    measured = {"named": 0, "node": ENGINE, "node_precision": 0.4, "node_recall": 0.4}
    known = planted.b.tables["b1"].assign(**measured)
    known.loc[inverse[1], "named"] = 1
    there = replace(planted, b=replace(planted.b, tables={**planted.b.tables, "b1": known}))
    found = concepts(there).set_index("node")
    assert found.b_f1.dropna().to_dict() == {ENGINE: pytest.approx(0.4)}  # kept, though under the older rule's limit
    lines = comparison_document(there)["latents_b"]["layers"]["b1"]
    assert [line.split()[1] for line in lines] == [ENGINE if at == inverse[1] else "-" for at in range(30)]
    before = comparison_document(planted)["latents_b"]["layers"]["b1"]
    assert before[inverse[0]].split()[1] == CAT, "control: by the older rule they have nodes"


def test_both_models_stand_side_by_side(planted):
    rows = side_by_side(planted).set_index(["model", "layer"])
    assert list(rows.index) == [("one", "a1"), ("one", "a2"), ("two", "b1"), ("two", "b2")]
    assert rows.dead[("two", "b2")] == pytest.approx(1 / 30)
    assert rows.population_sparsity[("one", "a1")] == pytest.approx(SHALLOW.nnz / 400 / 30)
    assert rows.label_entropy[("one", "a1")] == 1.5
    assert rows.fvu.isna().all()


def test_the_document_is_plain_and_says_the_same(planted):
    photos = {"b1": [[f"animals/{i}", "town/x"] for i in range(30)]}
    found = json.loads(json.dumps(comparison_document(planted, photos), allow_nan=False))
    check_plain(found, "comparison.json")
    assert found["a"] == {"name": "one", "layers": ["a1", "a2"]}
    assert found["pairs"][1][0]["overlap20"]["partner"] == 1
    pairs = [[int(n) for n in line.split()] for line in found["strongest"][1][0]]
    assert len(pairs) == 24
    assert all(ORDER[b] == a and mutual == 1 for a, b, _, mutual in pairs)
    shared = [pair[2] for pair in pairs]
    assert shared == sorted(shared, reverse=True)
    assert max(shared) <= 20
    partners = {int(line.split()[0]): line.split()[1:] for line in found["partners"]["a"]["a2"]}
    assert [int(partners[i][1]) for i in range(30)] == np.argsort(ORDER).tolist()
    latent, node, *places = found["latents_b"]["layers"]["b1"][int(np.argsort(ORDER)[0])].split()
    assert node == CAT
    assert [found["latents_b"]["photos"][int(p)] for p in places] == [f"animals/{latent}", "town/x"]
    assert found["latents_b"]["layers"]["b2"][0] == "1 -"  # latent 0 is dead
    assert found["concepts"]["counts"]["both"] == 2
    assert dict(zip(found["concepts"]["columns"], found["concepts"]["rows"][0], strict=True))["height"] == 0


def test_the_figure_comes_with_its_table(planted, tmp_path):
    figure, models = write_comparison(tmp_path, planted)
    assert figure.stat().st_size > 10_000
    assert list(pd.read_csv(models).layer) == ["a1", "a2", "b1", "b2"]
    written = pd.read_csv(tmp_path / "comparison.csv").set_index(["a", "b"])
    assert (
        list(written.index) == list(pair_table(planted).index) == [(a, b) for a in ("a1", "a2") for b in ("b1", "b2")]
    )
    assert written["overlap20.partner"]["a2", "b1"] == 1
    assert {"overlap9.chance.within_classes.best", "r2.median", "shared_node.chance"} <= set(written.columns)


def test_without_labels_and_maps_there_is_less_to_say(planted, tmp_path):
    found = compare(planted.a, planted.b, np.full(400, -1), planted.taxonomy, stitch=False)
    numbers = pair_numbers(found, "a2", "b1")
    assert "r2" not in numbers
    assert list(numbers["correlation"]["chance"]) == ["shuffled"]
    assert "within_classes" not in height_table(found)
    write_comparison(tmp_path, found)


def test_a_layer_without_living_latents_has_null_and_no_crash(tmp_path):
    dead = csr_array((400, 2), dtype=np.float32)
    a = Model("dead", {"a1": dead}, {"a1": table(dead, {})}, {})
    b = Model("alive", {"b1": SHALLOW}, {"b1": table(SHALLOW, {})}, {})
    found = compare(a, b, LABELS, Taxonomy(CLASSES))
    assert pair_numbers(found, "a1", "b1")["overlap20"]["best"] is None
    json.dumps(comparison_document(found), allow_nan=False)
    write_comparison(tmp_path, found)


def test_what_does_not_fit_together_is_refused(planted):
    with pytest.raises(InputError, match="400"):
        compare(planted.a, planted.b, LABELS[:-1], planted.taxonomy)
    with pytest.raises(InputError, match="table"):
        Model("x", {"a1": SHALLOW}, {}, {})
    with pytest.raises(InputError, match="any layer"):
        Model("x", {}, {}, {})
