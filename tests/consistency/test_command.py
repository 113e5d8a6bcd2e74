"""Models on the same images, from pixels or stores to tables: a planted tree leads, and a restart costs nothing."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hsae.activations.labels import Labels, write_labels
from hsae.commands import consistency
from hsae.consistency.images import ImageSample, balanced_rows
from hsae.consistency.models import Asked
from hsae.errors import InputError
from hsae.hierarchy import Taxonomy
from tests.measures.wordnet.labelled_scores import CLASSES
from tests.synthetic import write_store

PARTS = {"train": 12, "choice": 9, "heldout": 8}


def write_run(folder, means):
    """Stores of images around the means of their classes."""
    for seed, (name, a_class) in enumerate(PARTS.items()):
        generator = torch.Generator().manual_seed(seed)
        labels = torch.arange(len(CLASSES)).repeat(a_class)
        x = means[labels] + 1.5 * torch.randn(len(labels), means.shape[1], generator=generator)
        write_store(folder / "activations" / name, {"block_01": x[:, None]}, shard_rows=1000)
        write_labels(folder / "activations" / name, Labels(CLASSES, labels, "given"))
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run whose classes are sums of their ancestors, and one whose classes are unrelated."""
    folder, generator = tmp_path_factory.mktemp("runs"), torch.Generator().manual_seed(0)
    members = np.unique(Taxonomy(CLASSES).members, axis=0)
    tree = torch.from_numpy(members.T).float() @ torch.randn(len(members), 64, generator=generator)
    return [
        write_run(folder / "tree", 1.5 * tree),
        write_run(folder / "flat", 3 * torch.randn(len(CLASSES), 64, generator=generator)),
    ]


def ask(models, out, **changes):
    options = {"data": None, "split": None, "test_split": None, "label_map": None, "classes": 9, "images": 500}
    options |= {"models": list(map(str, models)), "out": out, "train": None, "add": False}
    consistency.run(argparse.Namespace(**options | changes))


@pytest.fixture(scope="module")
def out(runs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("out")
    ask(runs, folder, train="small")
    return folder


def test_the_planted_tree_leads(out):
    layers = pd.read_csv(out / "layers.csv").set_index("model")
    assert layers.cophenetic_height_gain["tree"] > layers.cophenetic_height_gain["flat"]
    assert layers.cophenetic_height_p["tree"] < 0.01
    assert layers.neighbours_gain["tree"] > layers.neighbours_gain["flat"]
    assert layers[["R", "owned_40", "tree_precision"]].notna().all(axis=None)
    assert layers.accuracy.between(0, 1).all()


def test_what_is_written(out):
    text = (out / "table.md").read_text()
    assert "tree is the most hierarchical of 2 models" in text
    assert "Too few layers" in text
    assert (out / "consistency.png").stat().st_size > 1000
    correlations = pd.read_csv(out / "correlations.csv")
    assert correlations.empty  # two layers have no rank correlation


def test_a_restart_measures_nothing_again(out, runs, monkeypatch):
    before = pd.read_csv(out / "layers.csv")
    monkeypatch.setattr("hsae.consistency.measure.layer_consistency", None)
    monkeypatch.setattr("hsae.bench.suite.make", None)
    ask(runs, out, train="small")
    pd.testing.assert_frame_equal(pd.read_csv(out / "layers.csv"), before)


def test_without_saes_nothing_is_said_of_them(runs, tmp_path):
    ask(runs[:1], tmp_path)
    assert "Too few layers" in (tmp_path / "table.md").read_text()
    assert "R" not in pd.read_csv(tmp_path / "layers.csv")


def test_floors_run_on_pictures(tmp_path):
    """Pictures of one colour a class: the colours tell them all, and both floors see the very same images."""
    random = np.random.default_rng(0)
    for number, wnid in enumerate(CLASSES[:6]):
        (tmp_path / "data" / wnid).mkdir(parents=True)
        for i in range(8):
            colour = np.array([40 * number, 255 - 40 * number, 128]) + random.integers(-8, 8, 3)
            picture = np.broadcast_to(colour.clip(0, 255).astype(np.uint8), (16, 16, 3))
            Image.fromarray(picture.copy()).save(tmp_path / "data" / wnid / f"{i}.png")
    ask(["colour-histogram", "raw-pixels:pixels"], tmp_path / "out", data=str(tmp_path / "data"))
    layers = pd.read_csv(tmp_path / "out" / "layers.csv").set_index("model")
    assert layers.accuracy["raw-pixels"] > 0.3
    assert layers.layer.to_dict() == {"colour-histogram": "colours", "raw-pixels": "pixels"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda runs: [runs[0], runs[0]], "several models named tree"),
        (lambda runs: [runs[0], "raw-pixels"], "raw-pixels without --data"),
    ],
)
def test_what_cannot_be_compared_is_said(runs, tmp_path, change, said):
    with pytest.raises(InputError, match=said):
        ask(change(runs), tmp_path)


def test_other_images_are_refused(runs, tmp_path):
    other = write_run(tmp_path / "other", torch.randn(len(CLASSES), 64))
    manifest = other / "activations" / "heldout" / "manifest.json"
    content = json.loads(manifest.read_text())
    content["dataset"]["fingerprint"] = "1"
    manifest.write_text(json.dumps(content))
    with pytest.raises(InputError, match="other on other images"):
        ask([runs[0], other], tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "source", "layers"),
    [
        ("dinov2-small-focus@random", "dinov2-small-focus@random", ()),
        ("efficientnet-lite0:stage_3,head", "efficientnet-lite0", ("stage_3", "head")),
        ("org/model:block_01", "org/model", ("block_01",)),
    ],
)
def test_models_as_they_are_written(text, source, layers):
    assert Asked.parse(text) == Asked(source, layers)


def test_a_path_with_a_colon_is_a_path(tmp_path):
    (tmp_path / "a:b").mkdir()
    assert Asked.parse(f"{tmp_path}/a:b").layers == ()


def test_rows_are_even_over_classes_and_always_the_same():
    labels = [0] * 50 + [1] * 3 + [None] * 9 + [2] * 20
    rows = balanced_rows(labels, 12)
    counts = np.bincount([labels[row] for row in rows])
    assert sorted(counts.tolist()) == [3, 4, 5]
    assert (rows == balanced_rows(labels, 12)).all()
    assert len(balanced_rows(labels, 1000)) == 73


def test_no_image_is_in_two_parts(tmp_path):
    for wnid in CLASSES[:4]:
        (tmp_path / wnid).mkdir()
        for i in range(7):
            Image.new("RGB", (4, 4)).save(tmp_path / wnid / f"{i}.png")
    parts = ImageSample((str(tmp_path),), n_classes=3).load()
    keys = [part.key(row) for part in parts.values() for row in range(len(part))]
    assert len(set(keys)) == len(keys) == 21
    assert {len(set(part.labels)) for part in parts.values()} == {3}
