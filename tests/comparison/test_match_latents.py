"""match_latents on real (tiny) backbones, and the command that compares two runs."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import hsae
from hsae.__main__ import main
from hsae.artifacts.artifact import Artifact
from hsae.comparison.match_latents import extract_for
from hsae.errors import ArtifactError, StoreError
from hsae.measures.probes import LinearProbe
from tests.tiny_models import SIDE, WIDTH, random_sae, tiny_model

CLASSES = ["n02085620", "n02123045"]
LAYERS = "block_01", "block_03"


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Two classes of 12 images of noise."""
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    for number in range(24):
        home = folder / CLASSES[number % 2]
        home.mkdir(exist_ok=True)
        noise = generator.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(noise).resize((SIDE, SIDE)).save(home / f"{number:02d}.png")
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory, images):
    """Two finished runs on the same images: backbones of different weights."""
    folder = tmp_path_factory.mktemp("runs")
    for seed, name in enumerate(("one", "two")):
        weights = folder / name / "backbone"
        tiny_model(seed).save_pretrained(weights)
        artifact = made(str(weights), hsae.load_backbone(weights, image_size=SIDE).fingerprint, seed)
        artifact.save(folder / name / "artifact", dtype="float32")
        extract_for(artifact, hsae.load_samples(images), folder / name / "activations" / "heldout", progress=False)
    return folder


def made(backbone: str, fingerprint: str, seed: int) -> Artifact:
    table = pd.DataFrame({"dead": [False] * 24, "best_node": [CLASSES[0]] * 24, "best_node_f1": 0.75})
    return Artifact.from_parts(
        backbone={
            "id": backbone,
            "revision": None,
            "weights_sha256": fingerprint,
            "image_size": SIDE,
            "token": "cls",
        },
        dataset={"id": "noise", "split": None, "n_images": 24, "classes": CLASSES},
        taxonomy={"tau": 0.5, "q": None, "nulls": []},
        saes={layer: random_sae(seed, activation="topk", k=8) for layer in LAYERS},
        latents={layer: table for layer in LAYERS},
        top_images={layer: [{"dataset": [[0, 1.0]], "starter": [["animals/cat", 1.0]]}] * 24 for layer in LAYERS},
        probes={layer: blank_probe() for layer in LAYERS},
        curves={},
        tree={},
    )


def blank_probe() -> LinearProbe:
    return LinearProbe(torch.zeros(WIDTH, 2), torch.zeros(2), torch.zeros(WIDTH), torch.ones(WIDTH))


def test_an_artifact_compared_with_itself_finds_itself(runs, images):
    artifact = Artifact.load(runs / "one" / "artifact")
    found = hsae.match_latents(artifact, artifact, hsae.load_samples(images))
    assert found.n_images == 24
    assert list(found.pairs) == [(a, b) for a in LAYERS for b in LAYERS]
    same = found.pairs["block_03", "block_03"]["correlation"].matching
    living = same.living & (same.score > 0)  # a latent that never changes correlates with nothing
    assert living.sum() > 10
    assert (same.partner[living] == np.flatnonzero(living)).all()
    other = hsae.match_latents(artifact, Artifact.load(runs / "two" / "artifact"), hsae.load_samples(images))
    assert (other.pairs["block_03", "block_03"]["correlation"].matching.score[living] < 0.999).all()


def test_one_command_compares_two_runs_and_adds_the_document(runs, tmp_path, capsys):
    run = tmp_path / "one"
    shutil.copytree(runs / "one", run)
    assert main(["compare", str(run), str(runs / "two"), "--add"]) == 0
    names = ["figures/comparison.json", "figures/comparison.png", "figures/comparison_models.csv"]
    written = [run / name for name in [*names, "artifact/comparison.json"]]
    assert capsys.readouterr().out.split() == [str(path) for path in written]
    assert (run / "figures" / "comparison.csv").is_file()
    document = Artifact.load(run / "artifact").document("comparison")
    assert document == json.loads(written[0].read_text())
    assert document["b"] == {"name": str(runs / "two" / "backbone"), "layers": list(LAYERS)}
    assert document["latents_b"]["photos"] == ["animals/cat"]
    assert Artifact.load(runs / "one" / "artifact").document("comparison") is None


@pytest.mark.slow
def test_artifacts_without_activations_are_compared_on_named_images(runs, images, tmp_path, capsys):
    sources = [str(runs / name / "artifact") for name in ("one", "two")]
    options = ["--data", str(images), "--out", str(tmp_path), "--no_stitch"]
    assert main(["compare", *sources, *options]) == 0
    named = json.loads((tmp_path / "comparison.json").read_text())
    assert main(["compare", str(runs / "one"), str(runs / "two"), "--out", str(tmp_path / "x"), "--no_stitch"]) == 0
    assert named == json.loads((tmp_path / "x" / "comparison.json").read_text())
    assert main(["compare", *sources]) == 1
    assert "No activation store" in capsys.readouterr().err


def test_other_images_or_activations_are_refused(runs, images, tmp_path, capsys):
    artifact = Artifact.load(runs / "one" / "artifact")
    other = tmp_path / "other"
    shutil.copytree(runs / "one", other)
    shutil.rmtree(other / "activations")
    extract_for(artifact, hsae.load_samples(images, limit=22), other / "activations" / "heldout", progress=False)
    assert main(["compare", str(other), str(runs / "two")]) == 1
    error = capsys.readouterr().err
    assert "StoreError" in error
    assert "22 images" in error
    assert "activations of the same images" in error
    shutil.rmtree(other / "activations")
    shutil.copytree(runs / "two" / "activations", other / "activations")
    assert main(["compare", str(other), str(runs / "two")]) == 1
    assert "weights, image size, token" in capsys.readouterr().err


def test_a_backbone_of_other_weights_is_refused(runs, images):
    wrong = made(str(runs / "two" / "backbone"), "0" * 64, 0)
    with pytest.raises(ArtifactError, match="fingerprint"):
        hsae.match_latents(wrong, wrong, hsae.load_samples(images))
    with pytest.raises(StoreError):
        extract_for(Artifact.load(runs / "one" / "artifact"), hsae.load_samples(images), runs / "two" / "artifact")
