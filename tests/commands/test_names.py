"""python -m hsae names: planted latents get their names, from stores and from images, and the artifact stays whole."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import hsae
from hsae.__main__ import main
from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.backbones.registry import REGISTRY
from hsae.measures.probes import LinearProbe
from hsae.sae.model import SparseAutoencoder
from tests.tiny_models import PlainBackbone

COLOURS = {
    "n02123045": (250, 10, 10),
    "n02123394": (250, 14, 6),
    "n02084071": (10, 250, 10),
    "n02088364": (10, 250, 150),
    "n03345487": (10, 10, 250),
    "n02802426": (120, 120, 120),
}
"""Two cats are reddish, a dog and a beagle, which is one, greenish; a fire engine, a basketball."""
CAT_CLASS = "n02123045"
CAT, DOG = "n02121808", "n02084071"
OWN = sorted(COLOURS)[:3]


def photographs(folder, classes, each, seed):
    """`each` photographs of every class, one split: noise around its colour."""
    random = np.random.default_rng(seed)
    for wnid in classes:
        home = folder / wnid
        home.mkdir(parents=True)
        for number in range(each):
            pixels = np.clip(COLOURS[wnid] + random.normal(0, 30, (16, 16, 3)) + random.normal(0, 15, 3), 0, 255)
            Image.fromarray(pixels.astype(np.uint8)).save(home / f"{number}.png")
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """choose/, and both/ with the splits `choose` (some classes only) and `test`."""
    folder = tmp_path_factory.mktemp("images")
    photographs(folder / "choose", list(COLOURS)[:4], 24, 0)
    photographs(folder / "both" / "choose", list(COLOURS)[4:], 48, 1)
    photographs(folder / "both" / "test", COLOURS, 10, 2)
    shutil.copy(folder / "choose" / CAT_CLASS / "0.png", folder / "choose" / CAT_CLASS / "more.png")
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An artifact of mean colours: latents for red, green, minus red, and one that never changes."""
    backbone = PlainBackbone()
    monkeypatch.setitem(REGISTRY, "plain", lambda **_: backbone)
    (layer,) = backbone.layers
    d_in = backbone.layers[layer].d_in
    sae = SparseAutoencoder(d_in, 4, "relu")
    with torch.no_grad():
        for latent, direction in enumerate(([1, -1, -1], [-1, 1, -1], [-1, 0, 0], [0, 0, 0])):
            sae.W_enc[:3, latent] = torch.tensor(direction, dtype=torch.float32)
        sae.W_dec[:, 0] = 1
    size = backbone.preprocessing.image_size
    artifact = Artifact.from_parts(
        backbone={
            "id": "plain",
            "revision": None,
            "weights_sha256": backbone.fingerprint,
            "image_size": size,
            "token": "mean",
        },
        dataset={"id": "toy", "split": None, "n_images": 1, "classes": OWN},
        taxonomy={"tau": 0.5, "q": None, "nulls": []},
        saes={layer: sae.requires_grad_(False)},
        latents={layer: pd.DataFrame({"dead": [False] * 4})},
        top_images={layer: [{"dataset": [], "starter": []}] * 4},
        probes={layer: LinearProbe(torch.zeros(d_in, 3), torch.zeros(3), torch.zeros(d_in), torch.ones(d_in))},
        curves={},
        tree={},
    )
    return artifact.save(tmp_path / "artifact", dtype="float32")


def asked(folder, images, *more):
    choose = f"{images / 'choose'},{images / 'both'}:choose"
    return ["names", str(folder), "--choose", choose, "--test", f"{images / 'both'}:test", *more]


def test_planted_latents_are_named_and_the_artifact_stays_whole(folder, images, capsys):
    before = Artifact.load(folder)
    (layer,) = before.layers
    assert main(asked(folder, images)) == 0
    artifact = Artifact.load(folder)
    table = artifact.latents(layer)
    assert table.node.tolist()[:2] == [CAT, DOG]
    assert table.named.tolist()[:2] == [1, 1]
    assert table.named[3] == 0
    assert pd.isna(table.node[3])
    assert (table.node_precision[:2] > 0.8).all()
    assert torch.equal(artifact.sae(layer).W_enc, before.sae(layer).W_enc)
    rule = artifact.taxonomy_rule
    names = rule.pop("names")
    assert rule == before.taxonomy_rule
    assert (names["choose"], names["test"]) == (["choose", "both:choose"], ["both:test"])
    assert names["n_images"] == {"choice": 145, "confirm": 48, "test": 60}
    assert names["rule"]["min_precision"] == 0.3
    numbers = names["layers"][layer]
    assert numbers["n_named"] == (table.named == 1).sum()
    assert numbers["said"] >= numbers["first_true"] > 0.3
    assert "random" in numbers
    said = capsys.readouterr().out
    assert str(folder) in said
    assert "random first true" in said


def test_stores_give_the_same_as_images_and_extraction_is_resumed(folder, images, tmp_path):
    (layer,) = Artifact.load(folder).layers
    work = tmp_path / "work"
    assert main(asked(folder, images, "--work", str(work))) == 0
    first = Artifact.load(folder).latents(layer)
    shard = min(work.rglob("*.safetensors"))
    shard.unlink()
    assert main(asked(folder, images, "--work", str(work))) == 0
    assert shard.is_file()
    pd.testing.assert_frame_equal(Artifact.load(folder).latents(layer), first)
    by_size = {len(ActivationStore(path)): str(path) for path in work.iterdir()}
    assert sorted(by_size) == [60, 96, 97]
    stores = ["--choose", f"{by_size[97]},{by_size[96]}", "--test", by_size[60]]
    assert main(["names", str(folder), *stores]) == 0
    pd.testing.assert_frame_equal(Artifact.load(folder).latents(layer), first)


def test_the_rule_can_be_made_stricter(folder, images):
    (layer,) = Artifact.load(folder).layers
    assert main(asked(folder, images, "--min_lift", "50")) == 0
    artifact = Artifact.load(folder)
    assert (artifact.latents(layer).named == 0).all()
    numbers = artifact.taxonomy_rule["names"]["layers"][layer]
    assert (numbers["n_named"], numbers["median_precision"], numbers["said"]) == (0, None, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--confirm_share", "1"], "confirm_share 1.0"),
        (["--alpha", "0", "--min_lift", "-1"], "alpha 0.0, min_lift -1.0"),
        (["--test", "nowhere"], "nowhere"),
        (["--test", "IMAGES/choose"], "the same images twice"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_changes_nothing(folder, images, capsys, options, said):
    before = Artifact.load(folder).sha256
    options = [text.replace("IMAGES", str(images)) for text in options]
    assert main(asked(folder, images, *options)) == 1
    assert said in capsys.readouterr().err
    assert Artifact.load(folder).sha256 == before
    assert not folder.with_name("artifact-names").exists()


def test_stores_of_another_backbone_or_without_a_layer_are_refused(folder, images, tmp_path, capsys):
    assert main(asked(folder, images, "--work", str(tmp_path / "work"))) == 0
    store = shutil.copytree(next((tmp_path / "work").iterdir()), tmp_path / "store")
    stated = json.loads((store / "manifest.json").read_text())
    for change in ({"backbone": stated["backbone"] | {"weights_sha256": "0" * 64}}, {"layers": {"other": 3}}):
        (store / "manifest.json").write_text(json.dumps(stated | change))
        assert main(["names", str(folder), "--choose", str(store), "--test", str(images / "choose")]) == 1
        assert "StoreError" in capsys.readouterr().err


def test_a_hub_model_is_not_written_to(hub, folder, images, capsys):
    hsae.Artifact.load(folder).push("someone/names")
    assert main(["names", "someone/names", "--choose", "x", "--test", "y"]) == 1
    assert "lies on the Hub" in capsys.readouterr().err
