"""A run with `--activations online`: SAEs of patch tokens that are never stored, and an artifact like any other's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from hsae.activations.online import OnlineSampler
from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.artifacts.documents.maps import read_map
from hsae.errors import InputError
from hsae.sae.config import SAEConfig
from hsae.sae.layer import LayerTraining
from hsae.sae.train import TrainConfig
from hsae.session import Session
from tests.tiny_models import tiny_dinov2
from training.run_config import RunConfig
from training.stages import run
from training.train import main

pytestmark = pytest.mark.slow

CLASSES = "n01503061,n07705931,n04524313"
SETTINGS = (
    SAEConfig(d_sae=48, k=4),
    TrainConfig(epochs=3, batch_size=64, buffer_tokens=256, lr=3e-3, checkpoint_every=5, log_every=5),
)


class Killed(BaseException):
    """Stands for a kill that leaves no time for anything."""


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("backbone")
    tiny_dinov2().model.save_pretrained(folder)
    return str(folder)


def config(backbone: str, folder: Path, **changes: object) -> RunConfig:
    common = {"image_size": 28, "layers": "block_02", "token": "patch", "activations": "online", "probe_images": 90}
    return RunConfig(run=str(folder), backbone=backbone, classes=CLASSES, **{**common, **changes})


@pytest.fixture(scope="module")
def finished(backbone: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("online")
    run(config(backbone, folder), *SETTINGS, Accelerator())
    return folder


def test_of_the_training_images_only_the_probes_share_is_stored(finished: Path) -> None:
    stored = ActivationStore(finished / "activations" / "train")
    assert len(stored) == 90
    n_images = Artifact.load(finished / "artifact").dataset["n_images"]
    assert n_images > 200, "the SAEs saw all"
    largest = n_images * 4 * 32 * 4  # 2 x 2 patches of width 32
    assert all(file.stat().st_size < largest for file in (finished / "activations" / "train").iterdir())


def test_the_saes_are_as_good_as_those_from_a_store(finished: Path, backbone: str, tmp_path: Path) -> None:
    run(config(backbone, tmp_path, activations="store"), *SETTINGS, Accelerator())
    assert len(ActivationStore(tmp_path / "activations" / "train")) > 200
    online, stored = (Artifact.load(folder / "artifact").curves["block_02"]["fvu"] for folder in (finished, tmp_path))
    assert online == pytest.approx(stored, rel=0.1)
    assert online < 0.6


def test_a_killed_run_goes_on_with_the_same_weights_and_runs_no_image_in_vain(
    finished: Path, backbone: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, read, seen = LayerTraining.advance, OnlineSampler.read, []

    def killed(self: LayerTraining, raw: torch.Tensor, rate: float, step: int) -> dict[str, torch.Tensor]:
        if step == 28:
            raise Killed
        return advance(self, raw, rate, step)

    with monkeypatch.context() as patch:
        patch.setattr(LayerTraining, "advance", killed)
        with pytest.raises(Killed):
            run(config(backbone, tmp_path), *SETTINGS, Accelerator())
    monkeypatch.setattr(OnlineSampler, "read", lambda self, number: seen.append(number) or read(self, number))
    run(config(backbone, tmp_path), *SETTINGS, Accelerator())
    whole, resumed = (load_file(folder / "saes" / "block_02.safetensors") for folder in (finished, tmp_path))
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    runs = -(-Artifact.load(finished / "artifact").dataset["n_images"] // 32)
    assert len(seen) < 3 * runs, "the first pool to start from, and what is left of two epochs"


def test_the_command_runs_online(backbone: str, tmp_path: Path) -> None:
    flags = {"run": tmp_path, "backbone": backbone, "classes": CLASSES, "image_size": 28, "layers": "block_02"}
    flags |= {
        "token": "patch",
        "activations": "online",
        "probe_images": 90,
        "d_sae": 48,
        "k": 4,
        "epochs": 1,
        "batch_size": 64,
    }
    assert main([part for name, value in flags.items() for part in (f"--{name}", str(value))]) == 0
    artifact = Artifact.load(tmp_path / "artifact")
    assert artifact.layers == ("block_02",)
    check_maps(artifact)


def check_maps(artifact: Artifact) -> None:
    """The run knows where its latents fire in starter photographs."""
    (layer,), session = artifact.layers, Session(artifact)
    latent = next(at for at, images in enumerate(artifact.top_images(layer)) if images["starter"])
    for example in session.examples(layer, latent):
        stored = read_map(artifact.document("maps"), layer, latent, example.key)
        np.testing.assert_allclose(stored, example.map.values / example.map.values.max(), atol=0.01)


@pytest.mark.parametrize("wrong", [{"activations": "offline"}, {"probe_images": 0}], ids=str)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(InputError):
        RunConfig(run="x", **wrong)
