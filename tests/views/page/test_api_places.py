"""What programs can ask about places in a photograph: the answers are the session's, the refusals are sentences."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from hsae.errors import InputError
from hsae.steering.edits import Edit
from hsae.views.page.api import Api
from hsae.views.page.desk import Desk
from hsae.views.page.models import Models
from hsae.views.page.photos import Photos
from tests.tiny_models import SIDE
from tests.views.page.test_models import of_patches

LAYER = "block_02"


@pytest.fixture(scope="module")
def api(artifact):
    models = Models([artifact, of_patches(artifact)])
    models.settle(60)
    return Api(Desk(models, Photos()))


@pytest.fixture(scope="module")
def photo():
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8))


@pytest.fixture(scope="module")
def sent(photo):
    file = io.BytesIO()
    photo.save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


@pytest.fixture(scope="module")
def patches(api, photo):
    """The session of the patches on the photograph, and its model's name."""
    (model,) = api.desk.models.values()
    return model.session().like().set_image(photo).patches, model.patches.name


def test_features_at_a_place_are_the_sessions(api, sent, patches):
    session, _ = patches
    found = api.patch_latents(sent, "", LAYER, 1000, "[[1, 2]]")
    expected = session.active_latents(LAYER, top=1000, place=[(1, 2)])
    assert [row["latent"] for row in found] == expected.latent.to_list()
    everywhere = api.patch_latents(sent, "", LAYER, 1000, "")
    assert len(everywhere) == len(session.active_latents(LAYER, top=1000)) > len(found)


def test_maps_and_examples_are_the_sessions(api, sent, patches):
    session, name = patches
    latent = int(session.active_latents(LAYER).latent.iloc[0])
    found = api.activation_map(sent, name, LAYER, latent)
    np.testing.assert_allclose(found["values"], session.activation_map(LAYER, latent).values, atol=1e-6)
    read = api.patch_relevancy(sent, "", LAYER, latent, "direct", "[[1, 2], [3, 0]]")
    expected = session.relevancy(LAYER, latent, "direct", [(1, 2), (3, 0)])
    assert read["target_value"] == pytest.approx(expected.target_value, rel=1e-5)
    (of_patch,) = api.examples(name, LAYER, latent, 9)
    assert of_patch["key"] == "animals/dog"
    assert np.shape(of_patch["values"]) == (4, 4)
    assert api.examples("", LAYER, latent, 9)[0]["values"] is None


def test_the_patches_answer_under_their_own_name(api, sent, patches):
    session, name = patches
    assert [row["latent"] for row in api.latents(sent, name, LAYER, 3)] != [
        row["latent"] for row in api.latents(sent, "", LAYER, 3)
    ]
    z = session.artifact.sae(LAYER).encode(session.activations(LAYER)[0, 1:]).detach().numpy()
    patch, silent = np.argwhere((z == 0) & (z.max(0) > 0))[0].tolist()
    edit = Edit(LAYER, [{"latent": silent, "mode": "off"}], scope=[patch]).to_json()
    assert api.steer(sent, name, edit, False)["silent"] == [{"layer": LAYER, "latent": silent}]


@pytest.mark.parametrize(
    "place", ["x", "[", "{}", "[1, 2]", "[[1]]", "[[1, 2.5]]", "[[true, 0]]", '[["1", 2]]', "[[9, 9]]", "[]", 7, ["x"]]
)
def test_places_that_are_none_get_a_short_sentence(api, sent, place):
    with pytest.raises(InputError) as raised:
        api.patch_latents(sent, "", LAYER, 3, place)
    assert len(str(raised.value)) < 300


def test_a_long_place_is_not_read(api, sent):
    with pytest.raises(InputError, match="JSON text of patches") as raised:
        api.patch_latents(sent, "", LAYER, 3, json.dumps([[0, 0]] * 10**5))
    assert len(str(raised.value)) < 300


def test_a_model_without_patches_says_so(artifact, sent):
    api = Api(Desk(Models([artifact]), Photos()))
    with pytest.raises(InputError, match="no features of patches"):
        api.patch_latents(sent, "", LAYER, 3, "")
