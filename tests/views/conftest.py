"""A tiny artifact with a real backbone on disk, whose tables hold every kind of latent and hostile text."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import torch

from hsae.artifacts.artifact import Artifact
from hsae.backbones.registry import load_backbone
from hsae.measures.probes import LinearProbe
from hsae.views.page.desk import Desk
from hsae.views.page.models import Models
from hsae.views.page.photos import Photos
from hsae.views.page.state import Choices
from tests.running_app import forked_app
from tests.tiny_models import SIDE, WIDTH, random_sae, tiny_model

CLASSES = ("n02085620", "n02123045", "n02124075", "n04285008")  # chihuahua, tabby, Egyptian cat, sports car
LAYERS = ("block_01", "block_02", "block_03")
N = 24
UNKNOWN = (
    "p_value", "q_value", "best_node_f1", "label_entropy", "monosemanticity",
    "node_precision", "node_recall", "node_lift", "node_threshold",
)  # fmt: skip
HOSTILE = "<script>alert('x')</script>\"&"


def latents() -> pd.DataFrame:
    """Latent 0 is dead, 1 owns the cats, 2 chihuahua and tabby, 3 the sports car; the others have no class."""
    table = pd.DataFrame({"frequency": np.arange(N) / 100, "mean": 0.5, "max": 2.0, "p999": 1.0, "dead": False})
    table = table.assign(n_classes=0, lch=None, lch_height=np.nan, coverage=np.nan, label="unassigned")
    owned = {
        1: (2, "n02121808", 1.0, 1.0, HOSTILE),
        2: (2, "n02075296", 4.0, 2 / 3, "carnivore"),
        3: (1, "n04285008", 0.0, 1.0, "sports car"),
    }
    for latent, values in owned.items():
        table.loc[latent, ["n_classes", "lch", "lch_height", "coverage", "label"]] = values
    table.loc[0, ["dead", "label", "frequency"]] = [True, "silent", 0.0]
    return table.assign(best_node=None, node=None, named=-1, **dict.fromkeys(UNKNOWN, np.nan))


def probe(seed: int) -> LinearProbe:
    weights = 0.1 * torch.randn(WIDTH, len(CLASSES), generator=torch.Generator().manual_seed(seed))
    return LinearProbe(weights, torch.zeros(len(CLASSES)), torch.zeros(WIDTH), torch.ones(WIDTH))


@pytest.fixture(scope="session")
def backbone_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("backbone")
    tiny_model().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def artifact(backbone_folder: Path) -> Artifact:
    backbone = load_backbone(backbone_folder, image_size=SIDE)
    images = [{"dataset": [[1, 0.5]], "starter": [["animals/dog", 0.5], ["no/such", 0.25]]}] * N
    return Artifact.from_parts(
        backbone={
            "id": str(backbone_folder), "revision": None, "weights_sha256": backbone.fingerprint,
            "image_size": SIDE, "token": "cls",
        },
        dataset={"id": HOSTILE, "split": "all", "n_images": 4, "classes": list(CLASSES)},
        taxonomy={"tau": 0.5, "q": None, "nulls": []},
        saes={name: random_sae(seed, activation="topk", k=6) for seed, name in enumerate(LAYERS)},
        latents={name: latents() for name in LAYERS},
        top_images={name: images for name in LAYERS},
        probes={name: probe(seed) for seed, name in enumerate(LAYERS)},
        curves={name: {"acc1_x": acc, "fvu": 0.25, "l0": 6} for name, acc in zip(LAYERS, (0.1, 0.9, 0.5), strict=True)},
        tree={},
    )  # fmt: skip


def artifact_with(artifact: Artifact, **changes: Any) -> Artifact:
    """The same artifact with other parts."""
    parts = {
        "backbone": artifact.backbone, "dataset": artifact.dataset, "taxonomy": artifact.taxonomy_rule,
        "saes": {name: artifact.sae(name) for name in LAYERS},
        "latents": {name: artifact.latents(name) for name in LAYERS},
        "top_images": {name: artifact.top_images(name) for name in LAYERS},
        "probes": {name: artifact.probe(name) for name in LAYERS},
        "curves": artifact.curves, "tree": artifact.tree,
    }  # fmt: skip
    return Artifact.from_parts(**(parts | changes))


TREE = {"layers": {LAYERS[1]: {"edges": [[2, 1, 0.5], [2, 3, 0.75]]}}}
PROFILES = {"layers": {LAYERS[1]: ["", "", "5 0 2|0 60", ""]}}


class Running(NamedTuple):
    """An app in a process of its own."""

    address: str
    pid: int
    run: Path
    """The run folder that it shows."""


@pytest.fixture(scope="session")
def server(artifact: Artifact, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An app on the artifact with a tree and profiles; all files ask the same."""
    run = tmp_path_factory.mktemp("run")
    artifact_with(artifact, tree=TREE, extras={"profiles": PROFILES}).save(run / "artifact", dtype="float32")
    with forked_app(run / "log.txt", "--artifact", str(run)) as (address, pid):  # a run folder is an artifact too
        yield Running(address, pid, run)


def in_a_loop(make: Callable[[], Any]) -> Any:
    """What `make` makes; Gradio would leave an event loop open behind it, unless one is running."""

    async def call() -> Any:
        return make()

    return asyncio.run(call())


@pytest.fixture
def desk(artifact: Artifact) -> Desk:
    """Its backbone is there."""
    desk = Desk(Models([artifact]), Photos())
    desk.models["unsaved"].session(wait=True)
    return desk


@pytest.fixture
def choices(desk: Desk) -> Choices:
    return Choices(desk.models, desk.photos)
