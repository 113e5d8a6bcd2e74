"""Every document of an artifact is shown as its own writer wrote it: no reader here sees one made by hand."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import hsae
from hsae.__main__ import main
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.consistency import write_consistency
from hsae.artifacts.documents.profiles import LayerFiring, write_profiles
from hsae.artifacts.documents.scoreboard import write_scoreboard
from hsae.artifacts.documents.segmentation import write_segmentation
from hsae.artifacts.documents.starter import write_starter
from hsae.artifacts.documents.tree import write_tree
from hsae.artifacts.extras import add_document
from hsae.artifacts.index import EXTRAS
from hsae.backbones.base import Backbone
from hsae.backbones.registry import load_backbone
from hsae.data.starter import starter_names
from hsae.hierarchy import Taxonomy
from hsae.report.inputs import LabelledActivations, LayerInputs
from hsae.report.layer import LayerReport, report_layer
from hsae.steering.nearest import photo_bank
from hsae.steering.segmentation.head import PatchHead
from hsae.views.page.desk import Desk
from hsae.views.page.models import Models
from hsae.views.page.photos import Photos
from hsae.views.page.selection import Selection
from hsae.views.page.state import Choices
from hsae.views.tabs.compare.compare import heat_html, matched_html, pairs_html
from hsae.views.tabs.compare.concepts import concepts_html, side_by_side_html
from hsae.views.tabs.feature import feature
from hsae.views.tabs.hierarchy import trees
from hsae.views.tabs.relevancy import relevancy
from hsae.views.tabs.steer.panes import pane_html
from tests.tiny_models import SIDE, WIDTH, random_sae
from tests.views.conftest import CLASSES

pytestmark = pytest.mark.slow

COLOURS = ((200, 40, 40), (60, 180, 60), (60, 220, 200), (40, 60, 220))
PER_CLASS = 32
LAYERS = ("block_02", "block_03")
LAYER = LAYERS[-1]


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    """One colour per class, with noise."""
    folder, generator = tmp_path_factory.mktemp("images"), np.random.default_rng(0)
    for wnid, colour in zip(CLASSES, COLOURS, strict=True):
        (folder / wnid).mkdir()
        for number in range(PER_CLASS):
            noise = generator.normal(colour, 25, (SIDE, SIDE, 3)).clip(0, 255).astype(np.uint8)
            Image.fromarray(noise).save(folder / wnid / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def folder(images, backbone_folder, tmp_path_factory) -> Path:
    """An artifact with all documents, each from its command or from what builds every artifact."""
    backbone = load_backbone(backbone_folder, image_size=SIDE)
    made = built(backbone, images).save(tmp_path_factory.mktemp("made") / "artifact", dtype="float32")
    assert main(["faithfulness", str(made), "--photos", "4", "--scenes", "1", "--layers", LAYER]) == 0
    assert (
        main(["causal", str(made), "--data", str(images), "--features", "6", "--images", "4", "--layers", LAYER]) == 0
    )
    few = ["--concepts", "dog", "--choice", "2", "--test", "2", "--pairs", "0"]
    assert main(["steerable", str(made), "--data", str(images), "--layers", LAYER, *few]) == 0
    other = shutil.copytree(made, made.with_name("other"))
    assert main(["compare", str(made), str(other), "--data", str(images), "--add", "--no_stitch"]) == 0
    assert main(["examples", str(made), "--data", str(images), "--licence", "none", "--source", "noise"]) == 0
    starter = hsae.load_samples("starter")
    add_document(made, "starter", write_starter(photo_bank(backbone, starter.take(24), LAYER, "cls")))
    head = PatchHead(torch.randn(WIDTH, 3), torch.zeros(3), ("background", CLASSES[0], "sky"))
    add_document(made, "segmentation", write_segmentation(head, {}))
    measured = pd.DataFrame({"model": ["toy"], "layer": [LAYER], "cophenetic_height": [0.2]})
    add_document(made, "consistency", write_consistency("toy", measured, "Only one model.", {}))
    add_document(made, "scoreboard", write_scoreboard(pd.DataFrame({"layer": [LAYER], "R": [0.2]}), {}))
    return made


def built(backbone: Backbone, images: Path) -> Artifact:
    """As training builds it."""
    samples, taxonomy = hsae.load_samples(images), Taxonomy(CLASSES)
    labels = torch.tensor([CLASSES.index(samples.read(row).wnid) for row in range(len(samples))])
    x = backbone.run([samples.read(row).image for row in range(len(samples))], LAYERS)
    saes = {layer: random_sae(seed).requires_grad_(False) for seed, layer in enumerate(LAYERS)}
    reports = {layer: reported(saes[layer], x[layer][:, :1], labels, taxonomy) for layer in LAYERS}
    key = next(iter(starter_names()))
    photos = [{"dataset": [[0, 1.0]], "starter": [[key, 1.0], ["animals/dog", 0.5]]}] * 24
    return Artifact.from_parts(
        backbone={
            "id": backbone.id, "revision": None, "weights_sha256": backbone.fingerprint, "image_size": SIDE,
            "token": "cls",
        },
        dataset={"id": "toy", "split": None, "n_images": len(samples), "classes": list(CLASSES)},
        taxonomy=taxonomy.rules | {"tau": 0.5, "q": None, "nulls": []},
        saes=saes,
        latents={layer: report.latents for layer, report in reports.items()},
        top_images=dict.fromkeys(LAYERS, photos),
        probes={layer: report.probe for layer, report in reports.items()},
        curves={layer: report.curves for layer, report in reports.items()},
        tree=write_tree(taxonomy, {layer: report.structure for layer, report in reports.items()}),
        extras={
            "profiles": write_profiles(
                {
                    layer: LayerFiring(report.profiles, report.together, report.weaker_heldout, report.weaker_starter)
                    for layer, report in reports.items()
                },
                list(starter_names()),
            )
        },
    )  # fmt: skip


def reported(sae: hsae.SparseAutoencoder, x: torch.Tensor, labels: torch.Tensor, taxonomy: Taxonomy) -> LayerReport:
    data = LabelledActivations(x, labels)
    return report_layer(LayerInputs(sae, data, data, taxonomy), x[:4])


@pytest.fixture(scope="module")
def desk(folder) -> Desk:
    desk = Desk(Models([Artifact.load(folder)]), Photos())
    next(iter(desk.models.values())).session(wait=True)
    return desk


@pytest.fixture(scope="module")
def model(desk):
    return next(iter(desk.models.values()))


@pytest.fixture(scope="module")
def first(desk) -> Selection:
    return replace(Choices(desk.models, desk.photos).first(), layer=LAYER)


def test_every_document_there_is_was_written(folder):
    of_patches = {"maps"}  # tests/training/test_online_run.py, tests/artifacts/test_packaged_patches.py
    assert set(Artifact.load(folder).documents) == set(EXTRAS) - of_patches


def test_faithfulness_is_told_for_every_feature_it_was_measured_for(desk, model, first):
    features = model.artifact.document("faithfulness")["layers"][LAYER]["features"]
    active = set(desk.active(first)["latent"])
    known = [
        (latent, gap)
        for latent, gap in zip(features["latent"], features["gap"]["legrad"], strict=True)
        if latent in active and gap is not None
    ]
    assert known
    for latent, gap in known:
        html = relevancy._removal(desk, replace(first, latent=latent, method="legrad"))
        assert f"by this method score {gap:.3g} " in html


def test_the_causal_test_is_on_the_card_of_every_tested_feature(desk, model, first):
    tested = [row["latent"] for row in model.artifact.document("causal")["layers"][LAYER]["features"]]
    assert tested
    for latent in range(24):
        assert ("What steering it does" in "".join(feature._page(desk, replace(first, latent=latent)))) == (
            latent in tested
        )


def test_the_profile_is_on_the_card_of_every_feature_that_fires(model):
    table = model.latents(LAYER)
    for latent in range(24):
        profile = model.profile(LAYER, latent)
        assert (profile is None) == bool(table["dead"].iloc[latent])
        if profile is not None:
            assert sum(profile.counts) == round(table["frequency"].iloc[latent] * PER_CLASS * len(CLASSES))
            assert profile.classes


def test_the_tree_gives_edges_and_the_best_feature_of_a_node(model):
    stated = model.artifact.tree["layers"][LAYER]["edges"]
    assert stated
    assert [list(edge) for edge in model.edges(LAYER)] == [edge[:3] for edge in stated]
    assert "Above and below it" in trees.family_html(model.edges(LAYER), model.latents(LAYER), stated[0][0])
    node = model.artifact.tree["nodes"][0][0]
    gains = {layer: model.artifact.tree["node_scores"][layer]["ap_gain"][0] for layer in LAYERS}
    assert set(model.node_scores(node)) == {layer for layer, gain in gains.items() if gain and gain > 0}


def test_the_comparison_is_shown_with_its_pairs_and_concepts(model):
    reader = model.comparison
    html = heat_html(reader, (LAYER, LAYER))
    assert html.count('data-field="pair"') == len(LAYERS) ** 2
    assert re.search(r">\d+ %<", html)
    assert reader.share(LAYER, LAYER)[0] > 0.2  # it was compared with itself
    pair = reader.strongest(LAYER, LAYER)[0]
    assert pair.latent == pair.partner
    assert f"{pair.shared} of {reader.k}" in pairs_html(model, reader, (LAYER, LAYER))
    assert reader.partner(LAYER, pair.latent) is not None
    assert f"of their {reader.k} strongest images" in matched_html(model, LAYER, pair.latent)
    assert reader.other(LAYER, pair.latent).photos
    assert "chance" in reader.counts()
    assert "Both: " in concepts_html(reader)
    assert side_by_side_html(reader)


def test_the_starter_photographs_are_compared_and_the_patch_head_paints(desk, model, first):
    keys = set(model.artifact.document("starter")["keys"])
    html = pane_html(desk, replace(first, view="steer", shows="nearest"))
    assert set(re.findall(r'data-value="([^"]+)"', html)) <= keys
    assert html.count("hsae-picture") == 12
    assert "Segmentation before" in pane_html(desk, replace(first, view="steer", shows="segmentation"))
