"""A model on the Hub: loaded from there, then from the cache; a Hub that does not answer costs one question."""

import logging

import pytest

from hsae.backbones import hub as hub_source
from hsae.backbones.registry import load_backbone
from hsae.errors import BackboneError
from tests.hub_emulator import Fault
from tests.tiny_models import SIDE, tiny_dinov2, tiny_model

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def server(hub, tmp_path, monkeypatch):
    """The Hub of the tests with org/tiny, a model and its image processor."""
    tiny_model().save_pretrained(tmp_path / "tiny")
    (tmp_path / "tiny/preprocessor_config.json").write_text('{"image_mean": 0.4, "image_std": 0.3}')
    hub.publish("org/tiny", {path.name: path.read_bytes() for path in (tmp_path / "tiny").iterdir()})
    monkeypatch.setattr(hub_source, "TIMEOUT", 0.5)
    return hub


def closed(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", NOWHERE)
    monkeypatch.setattr(
        "huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", NOWHERE + "/{repo_id}/resolve/{revision}/{filename}"
    )


def test_a_model_comes_from_the_hub_and_then_from_the_cache(server, monkeypatch):
    first = load_backbone("org/tiny", image_size=SIDE)
    assert first.fingerprint == tiny_dinov2().fingerprint
    assert first.revision == server.repo("org/tiny").branches["main"]
    assert first.preprocessing.mean == (0.4, 0.4, 0.4)
    closed(monkeypatch)
    again = load_backbone("org/tiny", image_size=SIDE)
    assert again.fingerprint == first.fingerprint
    assert (again.revision, again.preprocessing) == (first.revision, first.preprocessing)
    pinned = load_backbone("org/tiny", image_size=SIDE, revision=first.revision)
    assert pinned.fingerprint == first.fingerprint


@pytest.mark.parametrize("fault", [Fault(delay=20), Fault(503), Fault(429)])
@pytest.mark.parametrize("name", ["org/tiny", "clip-resnet50"])
def test_a_hub_that_does_not_answer_is_asked_once(server, caplog, fault, name):
    server.fault = lambda method, path: fault
    with pytest.raises(BackboneError, match=r"the Hub does not answer|could not be fetched"):
        load_backbone(name)
    assert len(server.requests) == 1
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_no_connection_at_all(server, caplog, monkeypatch):
    closed(monkeypatch)
    with pytest.raises(BackboneError, match="the Hub does not answer") as caught:
        load_backbone("org/tiny")
    assert "hf download org/tiny --local-dir FOLDER" in str(caught.value)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(("name", "revision", "said"), [("org/none", None, "org/none"), ("org/tiny", "v9", "v9")])
def test_what_the_hub_lacks_is_no_failed_connection(server, name, revision, said):
    with pytest.raises(BackboneError, match=f"404.*{said}") as caught:
        load_backbone(name, revision=revision)
    assert "does not answer" not in str(caught.value)


def test_half_a_model_in_the_cache_is_not_enough(server, tmp_path, monkeypatch):
    load_backbone("org/tiny")
    closed(monkeypatch)
    load_backbone("org/tiny")
    for weights in (tmp_path / "hub-cache").rglob("model.safetensors"):
        weights.unlink()
    with pytest.raises(BackboneError, match=r"could not be loaded: .*model\.safetensors"):
        load_backbone("org/tiny")
