"""The packaged artifact of patches: small, whole, and one model together with the packaged one of class tokens."""

from __future__ import annotations

import re

import numpy as np
import pytest

import hsae
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.maps import read_map
from hsae.artifacts.files import PACKAGED, packaged
from hsae.report.places import KINDS
from hsae.views.page.models import Models
from hsae.views.tabs.relevancy.elsewhere import other_masks

FOLDER = PACKAGED["starter-patches"]
MOST_BYTES = 12 * 2**20


@pytest.fixture(scope="module")
def patches() -> Artifact:
    return Artifact.load("starter-patches")


def test_it_is_small_whole_and_of_the_current_schema(patches):
    assert sum(file.stat().st_size for file in FOLDER.rglob("*") if file.is_file()) <= MOST_BYTES
    assert patches.index.schema == 2
    assert {"starter", "maps"} <= {*patches.documents}


def test_every_layer_has_names_by_the_rule_and_artefacts_of_places_are_told(patches):
    assert {"names", "places"} <= set(patches.taxonomy_rule)
    for layer in patches.layers:
        table = patches.latents(layer)
        assert table["named"].isin([0, 1]).all()
        assert table["node"][table["named"] == 1].notna().all()
        assert set(table["kind"].dropna()) <= set(KINDS)
        assert table["coherence"][~table["dead"]].notna().mean() > 0.99


def test_it_says_nothing_of_the_machine_it_was_made_on():
    texts = [file.read_text(encoding="utf-8") for pattern in ("*.json", "*.md") for file in FOLDER.rglob(pattern)]
    assert texts
    assert not any(re.search(r"[\"'\s=,](/(home|root|tmp|mnt|work|opt|srv|Users)/|[A-Z]:\\)", text) for text in texts)


def test_the_packaged_artifacts_are_one_model_of_two_tokens(patches):
    (model,) = Models([Artifact.load(name) for name in packaged()]).values()
    assert model.artifact.token == "cls"
    assert model.patches.artifact.sha256 == patches.sha256


def test_the_page_shows_where_features_fire_in_other_photographs_without_running_them(patches):
    (model,) = Models([Artifact.load(name) for name in packaged()]).values()  # whose backbone nobody has loaded
    for layer in patches.layers:
        latents = [at for at, images in enumerate(patches.top_images(layer)) if len(images["starter"]) >= 4][:3]
        masks = other_masks(model.patches, layer, latents)["masks"]
        assert len(masks) == len(set(masks.values())) == 4 * len(latents) > 0
        assert all(uri.startswith("data:image/png;base64,") for uri in masks.values())


def test_places_of_a_photograph_are_answered(focus, patches):
    photo = next(sample.image for sample in hsae.load_samples("starter") if sample.key == "photos/farm/dog")
    session = hsae.Session(Artifact.load("starter"), focus, patches).set_image(photo)
    layer = patches.layers[-1]
    here = session.patches.active_latents(layer, place=[(7, 8)])
    heat = session.patches.activation_map(layer, int(here.latent[0])).values
    assert heat[7, 8] == pytest.approx(here.activation[0], rel=1e-4)
    assert np.count_nonzero(heat) < heat.size
    (example, *_) = session.patches.examples(layer, int(here.latent[0]), top=1)
    assert example.map.values.max() == pytest.approx(example.activation, rel=0.1)
    stored = read_map(patches.document("maps"), layer, int(here.latent[0]), example.key)
    np.testing.assert_allclose(stored, example.map.values / example.map.values.max(), atol=0.02)
