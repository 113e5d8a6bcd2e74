"""Images without labels, from a folder to the page; labels that come later keep everything that was computed."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import gradio as gr
import numpy as np
import pytest
from accelerate import Accelerator
from PIL import Image

from hsae.__main__ import main
from hsae.artifacts.artifact import Artifact
from hsae.errors import InputError
from hsae.sae.config import SAEConfig
from hsae.sae.train import TrainConfig
from hsae.session import Session
from hsae.steering.edits import Edit
from hsae.views.page.app import build_app
from hsae.views.page.desk import Desk
from hsae.views.page.models import Models
from hsae.views.page.page import Page
from hsae.views.page.photos import Photos
from hsae.views.page.selection import SHOWS
from hsae.views.page.state import VIEWS, Choices
from tests.tiny_models import tiny_model
from tests.views.conftest import in_a_loop
from training.run_config import RunConfig
from training.stages import run
from training.stores import splits

pytestmark = pytest.mark.slow

CAT, DOG = "n02121808", "n02084071"
SETTINGS = (SAEConfig(d_sae=48, k=4), TrainConfig(epochs=2, batch_size=32))
FOLDERS = ("holidays/2019", "holidays/2020", "pets")


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("backbone")
    tiny_model(seed=1).save_pretrained(folder)
    return str(folder)


def photographs(folder: Path, n: int) -> None:
    """`n` images of noise around a colour that differs by folder."""
    folder.mkdir(parents=True)
    colour = np.random.default_rng(len(str(folder.name))).integers(60, 200, 3)
    for number in range(n):
        noise = np.random.default_rng(number).integers(-60, 55, (30, 32, 3))
        Image.fromarray((colour + noise).astype(np.uint8)).save(folder / f"{number:03}.png")


@pytest.fixture(scope="module")
def finished(backbone: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[RunConfig, Path]:
    root = tmp_path_factory.mktemp("photos")
    for folder in FOLDERS:
        photographs(root / folder, 24)
    place = str(tmp_path_factory.mktemp("runs") / "run")
    config = RunConfig(run=place, data=str(root), backbone=backbone, image_size=28, layers="block_01,block_03")
    return config, run(config, *SETTINGS, Accelerator())


def test_everything_but_probes_and_wordnet_is_there(finished: tuple[RunConfig, Path]) -> None:
    artifact = Artifact.load(finished[1])
    assert (artifact.classes, artifact.tree, artifact.taxonomy_rule["tau"]) == ((), {}, None)
    assert not (finished[1] / "probes.safetensors").exists()
    for layer in artifact.layers:
        curves, table = artifact.curves[layer], artifact.latents(layer)
        assert {"fvu", "l0", "dead", "mse", "monosemanticity"} <= set(curves)
        assert not {"acc1_x", "n_multi_class", "rate_nulls"} & set(curves)
        living = table[~table["dead"]]
        assert len(living)
        assert living[["frequency", "mean", "max", "p999"]].gt(0).all(axis=None)
        assert living["monosemanticity"].notna().any()
        assert set(table["n_classes"]) == {-1}
        assert set(table["label"]) <= {"silent", "unassigned"}
        assert any(len(entry["dataset"]) for entry in artifact.top_images(layer))
    with pytest.raises(InputError, match="no probe"):
        artifact.probe("block_03")
    card = (finished[1] / "README.md").read_text(encoding="utf-8")
    assert "no classes" in card
    assert not any(word in card for word in ("tau =", "probes.safetensors", "None"))


def test_a_session_answers_all_that_needs_no_classes(finished: tuple[RunConfig, Path]) -> None:
    photo = next(Path(finished[0].data).rglob("*.png"))
    session = Session(Artifact.load(finished[1])).set_image(Image.open(photo).convert("RGB"))
    latents = session.active_latents("block_01")
    first = int(latents["latent"][latents["p999"] > 0].iloc[0])
    assert session.relevancy("block_01", first).values.shape == (2, 2)
    edit = Edit(layer="block_01", ops=[{"latent": first, "mode": "add", "amount": 2.0}], scope="cls")
    assert session.downstream(edit)["change"].abs().gt(0).any()
    assert len(session.nearest(edit)) == 5
    for ask in (lambda: session.steer(edit), session.classes):
        with pytest.raises(InputError, match="made from images without labels"):
            ask()


@pytest.mark.parametrize("view", VIEWS)
def test_every_tab_opens_and_says_what_is_missing(finished: tuple[RunConfig, Path], view: str) -> None:
    desk = Desk(Models([Artifact.load(finished[1])]), Photos())
    (model,) = desk.models.values()
    model.session(wait=True)

    def make() -> Page:
        with gr.Blocks(analytics_enabled=False):
            return Page(desk, Choices(desk.models, desk.photos))

    page = in_a_loop(make)
    latent = desk.focus(page.choices.first())
    assert latent is not None
    opened = replace(page.choices.first(), view=view, latent=latent, edit=f"{latent}~2")
    for shows in SHOWS if view == "steer" else ("",):
        selection = replace(opened, shows=shows)
        drawn = page.draw(selection, {})
        slow = [value for later in page.later for value in later.draw(selection, {}, {})]
        text = " ".join(value for value in [*drawn, *slow] if isinstance(value, str))
        assert "hsae-notice problem" not in text
        assert f"feature {latent}" in text
        assert "made from images without labels" in text
        missing = [v.name for v in page.views if v.tab in ("", view) and v.name not in drawn[1]]
        assert missing == []


def test_figures_are_drawn_of_what_is_there(finished: tuple[RunConfig, Path], tmp_path: Path) -> None:
    assert main(["figures", str(finished[1]), "--out", str(tmp_path)]) == 0
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "layers.png",
        "sparsity.png",
        "lifetime.png",
        "firing.png",
    }


def test_the_app_starts_on_it(finished: tuple[RunConfig, Path]) -> None:
    assert in_a_loop(lambda: build_app([Artifact.load(finished[1])]).get_api_info())["named_endpoints"]


def test_labels_for_a_part_later_keep_activations_and_saes(finished: tuple[RunConfig, Path], tmp_path: Path) -> None:
    config, folder = finished
    kept = [*folder.parent.glob("saes/*.safetensors"), *folder.parent.glob("activations/*/shard*")]
    before, apart = [file.stat().st_mtime_ns for file in kept], splits(config).heldout
    with (tmp_path / "map.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["name", "wnid"], ["holidays", ""], ["pets", CAT]])
    mended = replace(config, label_map=str(tmp_path / "map.csv"))
    again = splits(mended).heldout
    assert [again.key(row) for row in range(len(again))] == [apart.key(row) for row in range(len(apart))]
    artifact = Artifact.load(run(mended, *SETTINGS, Accelerator()))
    assert [file.stat().st_mtime_ns for file in kept] == before
    assert artifact.classes == (CAT,)
    assert artifact.curves["block_03"]["acc1_x"] == 1.0, "of the labelled part, with its one class"
    assert 0 <= artifact.curves["block_03"]["n_unassigned"] <= 48
    assert Session(artifact).set_image(Image.new("RGB", (40, 40))).classes()["wnid"].tolist() == [CAT]
    assert Artifact.load(run(config, *SETTINGS, Accelerator())).classes == ()
    assert [file.stat().st_mtime_ns for file in kept] == before
