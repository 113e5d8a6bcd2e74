"""Every defect of hsae.json is refused, and so is what does not fit the artifact."""

from __future__ import annotations

import pytest

from hsae.artifacts.artifact import Artifact
from hsae.errors import ArtifactError
from tests.artifacts.conftest import edit_json, refused

INDEX_DEFECTS = {
    "newer schema": (lambda x: x.update(schema=3), "schema 3"),
    "schema true": (lambda x: x.update(schema=True), "schema True"),
    "schema missing": (lambda x: x.pop("schema") and None, "schema None"),
    "not an object": (lambda x: [x], "a list"),
    "field missing": (lambda x: x.pop("dataset") and None, "dataset missing"),
    "field unknown": (lambda x: x.update(extra=1), "extra"),
    "backbone field missing": (lambda x: x["backbone"].pop("token") and None, "token missing"),
    "backbone is text": (lambda x: x.update(backbone="dinov2"), "backbone: a str"),
    "fingerprint too short": (lambda x: x["backbone"].update(weights_sha256="ab"), "weights_sha256"),
    "token unknown": (lambda x: x["backbone"].update(token="register"), "token 'register'"),
    "token is a list": (lambda x: x["backbone"].update(token=[]), "token"),
    "image size": (lambda x: x["backbone"].update(image_size=10**6), "image_size"),
    "class by name": (lambda x: x["dataset"].update(classes=["dog"]), "classes"),
    "class twice": (lambda x: x["dataset"].update(classes=["n02085620"] * 4), "twice"),
    "probes without classes": (lambda x: x["dataset"].update(classes=[]), "unknown .*probes.safetensors"),
    "negative images": (lambda x: x["dataset"].update(n_images=-1), "n_images"),
    "fractional images": (lambda x: x["dataset"].update(n_images=1.5), "n_images"),
    "huge number of images": (lambda x: x["dataset"].update(n_images=10**300), "finite"),
    "tau above 1": (lambda x: x["taxonomy"].update(tau=1.5), "tau"),
    "no layers": (lambda x: x.update(layers=[]), "0 layers"),
    "layers by name": (lambda x: x.update(layers=["block_01"]), "layers"),
    "layer twice": (lambda x: x["layers"].append(x["layers"][0]), "twice"),
    "layer that climbs": (lambda x: x["layers"][0].update(name=".."), "the name"),
    "layer with a slash": (lambda x: x["layers"][0].update(name="a/b"), "the name"),
    "layer with a newline": (lambda x: x["layers"][0].update(name="block_01\n"), "printable"),
    "d_in too large": (lambda x: x["layers"][0].update(d_in=16_385), "d_in 16385"),
    "d_sae too large": (lambda x: x["layers"][0].update(d_sae=1_000_001), "d_sae 1000001"),
    "d_sae true": (lambda x: x["layers"][0].update(d_sae=True), "d_sae True"),
    "file missing": (lambda x: x["files"].pop("tree.json") and None, "tree.json missing"),
    "file outside": (lambda x: x["files"].update({"../secret": "0" * 64}), "secret"),
    "absolute file": (lambda x: x["files"].update({"/etc/passwd": "0" * 64}), "passwd"),
    "hash is no hash": (lambda x: x["files"].update({"tree.json": "0"}), "tree.json"),
    "control character": (lambda x: x["dataset"].update(id="\x1b[2J"), "printable"),
    "right-to-left override": (lambda x: x["dataset"].update(id="a\u202eb"), "printable"),
    "lone surrogate": (lambda x: x["dataset"].update(id="\ud800"), "printable"),
}


@pytest.mark.parametrize("name", INDEX_DEFECTS)
def test_defects_of_the_index(folder, name):
    change, match = INDEX_DEFECTS[name]
    edit_json(folder / "hsae.json", change)
    refused(folder, match)


def test_an_unknown_layer_lists_the_known_ones(folder):
    artifact = Artifact.load(folder)
    for ask in (artifact.sae, artifact.latents, artifact.top_images, artifact.probe):
        with pytest.raises(ArtifactError, match="block_01, block_02"):
            ask("block_03")
    with pytest.raises(ArtifactError, match="block_01, block_02"):
        Artifact.load(folder, layers=["block_01", "block_99"])


@pytest.mark.parametrize("source", ["nowhere", "a/b/c", "../a/b", "", "org/na..me", "-/--", "org/name\n"])
def test_a_source_that_is_none_is_refused(source, monkeypatch):
    with pytest.raises(ArtifactError):
        Artifact.load(source)


def test_a_revision_of_a_folder_is_refused(folder):
    with pytest.raises(ArtifactError, match="revision"):
        Artifact.load(folder, revision="main")
