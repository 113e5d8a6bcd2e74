"""Features that the classifier uses for the subtree they are named after, and features that only fire there."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from hsae.artifacts.documents.causal import write_causal
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from hsae.measures.probes import LinearProbe
from hsae.sae.model import SparseAutoencoder
from hsae.steering.causal.experiment import (
    CONDITIONS,
    Images,
    LayerTest,
    Setting,
    change_heights,
    testable_features,
)
from hsae.steering.causal.figure import causal_figure
from hsae.steering.readout import Readout
from tests.tiny_models import WIDTH, random_pixels, tiny_dinov2

testable_features.__test__ = False

# tabby, Persian; beagle, pug; robin, magpie; fire engine, ambulance, minivan; orange, lemon, fig
CLASSES = (
    *("n02123045", "n02123394", "n02088364", "n02110958", "n01558993", "n01582220"),
    *("n03345487", "n02701002", "n03770679", "n07747607", "n07749582", "n12144580"),
)
TAXONOMY = Taxonomy(CLASSES)
# cat, dog, bird, carnivore, motor vehicle, citrus
NODES = ("n02121808", "n02084071", "n01503061", "n02075296", "n03791235", "n07747055")
LAYERS = ("block_02", "block_03")


@pytest.fixture(scope="module")
def backbone():
    return tiny_dinov2()


@pytest.fixture(scope="module")
def x(backbone):
    return backbone.run_pixels(random_pixels(batch=24), LAYERS)


def planted(layer, backbone, x, *, causal, images=8):
    """Every latent fires; its direction raises the logits of its node's classes, or, if not causal, none at all."""
    directions = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=torch.Generator().manual_seed(5)))[0].T
    sae = SparseAutoencoder(WIDTH, WIDTH, "relu")
    with torch.no_grad():
        sae.W_dec.copy_(directions)
        sae.W_enc.copy_(directions.T)
        sae.b_enc.fill_(30.0)
    members = torch.tensor(np.stack([TAXONOMY.members[TAXONOMY.position(node)] for node in NODES])).float()
    offset = 0 if causal else len(NODES)
    W = directions[offset : offset + len(NODES)].T @ members
    table = pd.DataFrame({"p999": 90.0, "frequency": 0.5, "dead": False, "label": "x"}, index=range(WIDTH))
    table["best_node"] = [*NODES, *[None] * (WIDTH - len(NODES))]
    table["best_node_f1"] = [0.9 - 0.1 * i if i < len(NODES) else np.nan for i in range(WIDTH)]
    wnids = [CLASSES[i % len(CLASSES)] for i in range(24)]
    pictures = Images(x[layer], x["block_03"], wnids)
    setting = Setting(features=6, images=images)
    probe = LinearProbe(W, torch.zeros(len(CLASSES)), torch.zeros(WIDTH), torch.ones(WIDTH))
    readout = Readout(backbone, probe, CLASSES, "block_03")
    return LayerTest(layer, sae, table, TAXONOMY, pictures, readout, setting)


def advantages(found, value):
    return found["summary"][value]["measures"]["advantage"]


def test_a_planted_causal_feature_is_found(backbone, x):
    found = planted("block_03", backbone, x, causal=True).run()
    for value in ("set", "off"):
        own = advantages(found, value)
        assert own["feature"]["low"] > 5
        assert own["against_random"]["p"] < 0.05
        assert own["against_shuffled"]["p"] < 0.05
        assert found["summary"][value]["measures"]["locality_logit"]["feature"]["mean"] > 2
    for feature in found["features"]:  # linear: the node's classes gain as much as the latent moves, all others nothing
        inside, *outside = feature["set"]["profile"]["feature"]
        assert feature["set"]["feature"]["advantage"] == pytest.approx(inside["logit"], rel=1e-3)
        assert [ring["logit"] for ring in outside] == pytest.approx([0] * len(outside), abs=1e-3)


def test_a_feature_that_only_fires_there_is_not_found(backbone, x):
    found = planted("block_03", backbone, x, causal=False).run()
    for value in ("set", "off"):
        own = advantages(found, value)
        assert own["feature"]["mean"] == pytest.approx(0, abs=1e-3)
        assert own["against_random"]["p"] > 0.05
        assert own["against_shuffled"]["p"] > 0.05


def test_inner_layers_are_run_on_to_the_end(backbone, x):
    test = planted("block_02", backbone, x, causal=True, images=3)
    found = test.run()
    by_hand = test.images.x[:3].clone()
    with torch.no_grad():
        z = test.sae.encode(by_hand[:, 0])[:, 0]
        by_hand[:, 0] += (90 - z)[:, None] * test.sae.W_dec[0]
        after = test.readout.logits(backbone.run_from("block_02", by_hand, ["block_03"])["block_03"])
        change = (after - test.readout.logits(x["block_03"][:3])).mean(0)
    ring = found["features"][0]["set"]["profile"]["feature"][0]
    inside = torch.tensor(TAXONOMY.members[TAXONOMY.position(NODES[0])])
    assert ring["logit"] == pytest.approx(change[inside].mean().item(), rel=1e-3)


def test_features_are_switched_off_only_where_they_mean_something(backbone, x):
    found = planted("block_03", backbone, x, causal=True, images=100).run()
    under = [sum(TAXONOMY.members[TAXONOMY.position(node)]) for node in NODES]  # 12 of the 24 images, of 12 classes
    assert [feature["off"]["n_images"] for feature in found["features"]] == under
    assert {feature["set"]["n_images"] for feature in found["features"]} == {12}


def test_controls_have_the_norm_of_the_feature(backbone, x):
    test = planted("block_02", backbone, x, causal=True)
    for value in ("set", "off"):
        directions = test._directions(3, test.images.under(NODES[3]))
        deltas = test._deltas(3, value, x["block_02"], directions)
        assert set(deltas) == set(CONDITIONS)
        for name in CONDITIONS[1:]:
            torch.testing.assert_close(deltas[name].norm(dim=-1), deltas["feature"].norm(dim=-1))
            assert not deltas[name][:, 1:].any()
        along = torch.cosine_similarity(deltas["feature"][:, 0], deltas["other"][:, 0])
        assert along.abs().max() < 0.01


def test_the_document_is_plain_json_and_makes_a_figure(backbone, x):
    layers = {layer: planted(layer, backbone, x, causal=True, images=4).run() for layer in LAYERS}
    found = write_causal(layers, Setting(images=4), 24, "toy")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    figure, table = causal_figure(found)
    assert len(figure.axes) == 6
    assert set(table.condition) == set(CONDITIONS)
    assert set(table.layer) == set(LAYERS)


def test_heights_are_those_of_changed_predictions_only():
    found = change_heights(TAXONOMY, np.array([0, 0, 0]), np.array([0, 1, 6]))
    cats, all_of_them = TAXONOMY.lch(CLASSES[:2]), TAXONOMY.lch([CLASSES[0], CLASSES[6]])
    assert found.tolist() == [TAXONOMY.height(cats), TAXONOMY.height(all_of_them)]
    assert len(change_heights(TAXONOMY, np.array([3]), np.array([3]))) == 0


def test_only_living_features_with_a_subtree_are_tested(backbone, x):
    test = planted("block_03", backbone, x, causal=True)
    table = test.table.copy()
    table.loc[0, "dead"] = True
    table.loc[1, "best_node"] = CLASSES[0]  # one class is no subtree
    table.loc[2, "best_node"] = TAXONOMY.root  # nor is everything
    table.loc[3, "best_node_f1"] = 0
    table.loc[4, "p999"] = np.nan
    assert testable_features(table, TAXONOMY, 9).index.tolist() == [5]
    with pytest.raises(InputError, match="testable"):
        LayerTest(**{**test.__dict__, "table": table.assign(dead=True)}).run()


def test_features_are_tested_with_the_node_of_a_name_that_was_kept(backbone, x):
    test = planted("block_03", backbone, x, causal=True)
    known = {"named": 0, "node": NODES[1], "node_precision": 0.5, "node_recall": 0.5}
    table = test.table.assign(**known)
    table.loc[2, "named"] = 1
    table.loc[3, "named"] = -1
    found = testable_features(table, TAXONOMY, 9)
    assert found["tested"].to_dict() == {2: NODES[1], 3: NODES[3]}
    assert found["fit"].to_dict() == {2: 0.5, 3: test.table.loc[3, "best_node_f1"]}
    features = LayerTest(**{**test.__dict__, "table": table}).run()["features"]
    assert {row["latent"]: (row["label"], row["node"]) for row in features} == {
        2: ("dog", NODES[1]), 3: (test.table.loc[3, "label"], NODES[3]),
    }  # fmt: skip
