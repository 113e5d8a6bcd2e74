"""Fixtures shared by all tests: where the real images are, and randomness that is the same every time."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import hypothesis
import pytest

# Set before huggingface_hub, transformers or Triton are imported: their constants are read once.
os.environ.setdefault("TRITON_INTERPRET", "1")  # its kernels are tested on a CPU
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_XET", "1")  # tests/hub_emulator.py speaks the older protocol for large files
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes side by side share the cores

hypothesis.settings.register_profile(
    "hsae",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # a busy machine is no failure
)
hypothesis.settings.load_profile("hsae")

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With -n: the tests of a file stay in one process, and those of a browser: they share servers and models."""
    from xdist.scheduler import LoadFileScheduling

    class BySharing(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "browser" if nodeid.startswith("tests/browser/") else super()._split_scope(nodeid)

    config.option.loadscopereorder = False  # which would start with the files of most tests
    return BySharing(config, log)


def pytest_collection_finish() -> None:
    """What is there now stays to the end: runs that collect garbage after each of their stages need not look at it."""
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(config, items) -> None:
    """With -n: files with slow tests come first, so that none is left for one process at the end."""
    if hasattr(config, "workerinput"):
        slow = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in slow)


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


@pytest.fixture(scope="session")
def small_tables(tmp_path_factory) -> dict[str, Path]:
    from hsae.data.starter import TABLES
    from tests.synthetic import small_photographs

    return {name: small_photographs(table, tmp_path_factory.mktemp("small")) for name, table in TABLES.items()}


@pytest.fixture(scope="module")
def small_starter(small_tables):
    """The packaged photographs are small noise: for tests that run over all of them, whatever is to be seen there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hsae.data.starter.TABLES", small_tables)
        _forget_photographs()
        yield
    _forget_photographs()


def _forget_photographs() -> None:
    """What was kept of the packaged photographs in memory: other tests have others."""
    from hsae.data import starter_photos
    from hsae.relevancy import examples
    from hsae.steering import nearest
    from hsae.views.page import photos

    for kept in (
        starter_photos.starter_samples, starter_photos.starter_rows, examples._looked_at, nearest._compute_bank,
        photos.thumbnail,
    ):  # fmt: skip
        kept.cache_clear()


@pytest.fixture(scope="session")
def processes():
    """Processes that start quickly, from a server that has imported everything once."""
    from tests.forked import forking

    return forking()


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
