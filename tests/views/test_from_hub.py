"""`python app.py --artifact org/name`: artifacts and their backbone from the Hub, several in one app."""

from __future__ import annotations

import dataclasses

import pytest
from gradio_client import Client, handle_file
from PIL import Image

from hsae.artifacts.artifact import Artifact
from hsae.artifacts.files import packaged
from hsae.backbones.registry import load_backbone
from hsae.views.page.app import sources
from tests.artifacts.conftest import contents
from tests.artifacts.test_artifact_save import parts
from tests.hub_emulator import TOKEN
from tests.running_app import running_app
from tests.views.conftest import LAYERS, SIDE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),  # gradio_client's sockets
]


@pytest.fixture
def published(hub, artifact, backbone_folder) -> str:
    """The tiny backbone as org/backbone, and its artifact twice: as org/first and, with one layer, as org/second."""
    commit = hub.publish("org/backbone", contents(backbone_folder))
    index = dataclasses.replace(
        artifact.index, backbone={**artifact.backbone, "id": "org/backbone", "revision": commit}
    )
    on_hub = parts(
        **{name: getattr(index, name) for name in ("backbone", "dataset", "taxonomy")},
        **{
            name: {layer: getattr(artifact, part)(layer) for layer in LAYERS}
            for name, part in {
                "saes": "sae",
                "latents": "latents",
                "top_images": "top_images",
                "probes": "probe",
            }.items()
        },
        curves=artifact.curves,
    )
    on_hub.push("org/first")
    on_hub.push("org/second", layers=LAYERS[:1])
    return commit


def test_a_backbone_of_the_hub_has_the_weights_the_artifact_names(published, artifact, hub):
    loaded = Artifact.load("org/first")
    backbone = load_backbone(loaded.backbone["id"], revision=published, image_size=SIDE)
    loaded.check_backbone(backbone)
    assert backbone.fingerprint == artifact.backbone["weights_sha256"]
    assert hub.asked("HEAD", "/org/backbone/resolve/")


def test_what_is_named_is_opened_before_what_is_stated_and_that_before_what_is_packaged(monkeypatch):
    monkeypatch.setenv("HSAE_ARTIFACT", "org/first, org/second,")
    assert sources(["mine"]) == ["mine"]
    assert sources(None) == ["org/first", "org/second"]
    monkeypatch.setenv("HSAE_ARTIFACT", " ")
    assert sources(None) == packaged() != []


def test_the_app_opens_what_the_hub_has(published, hub, tmp_path):
    Image.new("RGB", (80, 60), "red").save(tmp_path / "photo.png")
    settings = {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_TOKEN": TOKEN}
    settings |= {"HSAE_ARTIFACT": "org/first, org/second"}  # as in a Space
    with running_app(tmp_path / "log.txt", **settings) as address:
        client = Client(address, verbose=False, download_files=False, httpx_kwargs={"timeout": 300})
        try:
            answers = [
                client.predict(handle_file(tmp_path / "photo.png"), model, LAYERS[0], 3, api_name="/latents")
                for model in ("org/first", "org/second")
            ]
        finally:
            client.close()
    assert answers[0] == answers[1]
    assert len(answers[0]) == 3
    fetched = hub.asked("HEAD", "org/second")
    assert not [path for path in fetched if LAYERS[1] in path]  # a layer that was not published
