"""The public names: an alphabetical list, all importable, documented, and light to import."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hsae

DESIGNED = [
    "ActivationStore",
    "Artifact",
    "Backbone",
    "Comparison",
    "Edit",
    "HsaeError",
    "LinearProbe",
    "OnlineActivations",
    "RelevancyMap",
    "SAEConfig",
    "Sample",
    "SampleStream",
    "Samples",
    "Session",
    "SparseAutoencoder",
    "SteeringResult",
    "Taxonomy",
    "TrainConfig",
    "__version__",
    "extract_activations",
    "feature_tree",
    "fit_probe",
    "load_backbone",
    "load_samples",
    "match_latents",
    "open_image",
    "relevancy_map",
    "run_with_edits",
    "stream_samples",
    "train_bank",
]


def test_the_public_list_is_the_designed_one_in_alphabetical_order():
    assert hsae.__all__ == sorted(hsae.__all__) == DESIGNED
    assert dir(hsae) == hsae.__all__


@pytest.mark.parametrize("name", DESIGNED)
def test_every_public_name_can_be_imported_and_says_what_it_is(name):
    value = getattr(hsae, name)
    assert name.startswith("__") or value.__doc__
    assert name.startswith("__") or value.__name__ == name


def test_other_names_are_not_there():
    with pytest.raises(AttributeError, match="torch"):
        hsae.torch  # noqa: B018


@pytest.mark.parametrize(("code", "heavy"), [("import hsae", False), ("import hsae; hsae.load_samples", False)])
def test_importing_hsae_loads_no_heavy_library(code, heavy):
    loaded = _loaded_after(code)
    assert ("transformers" in loaded or "gradio" in loaded or "datasets" in loaded) is heavy


def test_the_check_above_sees_a_heavy_library():
    assert "datasets" in _loaded_after("import hsae, datasets")


def _loaded_after(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    return set(done.stdout.split())
