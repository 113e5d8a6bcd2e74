"""A whole run on starter photographs with a tiny backbone: stages, skipped when done, redone under other settings."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from PIL import Image

from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.backbones.registry import load_backbone
from hsae.errors import InputError, LabelError
from hsae.measures.colour_texture import colour_texture
from hsae.measures.splits import rows_apart
from hsae.sae.config import SAEConfig
from hsae.sae.train import TrainConfig
from tests.tiny_models import tiny_model
from training.looks import class_groups, colours_and_textures, second_encoder
from training.random_baseline import open_random_run
from training.run_config import RunConfig
from training.stages import run
from training.stores import splits
from training.train import main

pytestmark = pytest.mark.slow

BIRD, FRUIT, VEHICLE = "n01503061", "n07705931", "n04524313"


@pytest.fixture(scope="module")
def backbone_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("backbone")
    tiny_model(seed=1).save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def finished(backbone_folder, tmp_path_factory):
    config = RunConfig(
        run=str(tmp_path_factory.mktemp("run")),
        backbone=backbone_folder,
        classes=f"{BIRD},{FRUIT},{VEHICLE}",
        image_size=28,
        layers="block_01,block_03",
    )
    settings = (SAEConfig(d_sae=48, k=4), TrainConfig(epochs=2, batch_size=64))
    return config, settings, run(config, *settings, Accelerator())


def test_the_artifact_holds_what_the_run_was_asked_for(finished):
    _, _, folder = finished
    artifact = Artifact.load(folder)
    assert artifact.layers == ("block_01", "block_03")
    assert artifact.classes == tuple(sorted([BIRD, FRUIT, VEHICLE]))
    curves = artifact.curves["block_03"]
    assert 0 < curves["fvu"] < 1.5
    assert 0 < curves["l0"] <= 4
    assert curves["mse"] == pytest.approx(curves["fvu"] * curves["var"], rel=1e-5)
    for latent, row in artifact.latents("block_03").iterrows():
        assert row.dead == (row.frequency == 0)
        assert len(artifact.top_images("block_03")[latent]["dataset"]) <= 9


@pytest.fixture(scope="module")
def compared(finished, backbone_folder, tmp_path_factory):
    """The same run judged by another encoder, beside a run on a random backbone."""
    config, settings, _ = finished
    other = tmp_path_factory.mktemp("other encoder")
    tiny_model(seed=3).save_pretrained(other)
    random = replace(config, run=str(tmp_path_factory.mktemp("random")), backbone=f"{backbone_folder}@random")
    run(random, *settings, Accelerator())
    config = replace(config, second_encoder=str(other), random_backbone_run=random.run)
    return config, run(config, *settings, Accelerator())


def test_another_encoder_and_a_random_backbone_are_named_and_measured(finished, compared):
    config, folder = compared
    artifact, plain = Artifact.load(folder), Artifact.load(Path(config.random_backbone_run) / "artifact")
    assert artifact.taxonomy_rule["second_encoder"]["id"] == config.second_encoder
    assert artifact.taxonomy_rule["second_encoder"]["layer"] == "block_03"
    curves = artifact.curves["block_03"]
    assert curves["monosemanticity_other"] != curves["monosemanticity"]
    assert artifact.latents("block_03").monosemanticity_other.notna().any()
    assert plain.latents("block_03").monosemanticity_other.isna().all()
    assert "second_encoder" not in plain.taxonomy_rule
    assert plain.backbone["weights_sha256"] != artifact.backbone["weights_sha256"]
    for layer, row in artifact.curves.items():
        baseline = row["baselines"]["random_backbone"]
        assert baseline["n"] == 48
        assert baseline["fvu"] == plain.curves[layer]["fvu"] != row["fvu"]
        assert baseline["n_multi_class"] == plain.curves[layer]["n_multi_class"]
    assert "random_backbone" not in plain.curves["block_03"]["baselines"]


def test_the_embeddings_of_another_encoder_belong_to_the_held_out_images_in_order(compared):
    config, _ = compared
    heldout = ActivationStore(Path(config.run) / "activations" / "heldout")
    store = second_encoder(config, heldout)
    assert torch.equal(store.labels, heldout.labels)
    samples = splits(config).heldout
    image = samples.read(int(heldout.rows[5])).image
    alone = load_backbone(config.second_encoder).run([image])["block_03"][:, :1]
    torch.testing.assert_close(store.layer("block_03")[5:6], alone, atol=1e-4, rtol=1e-4)


def test_colour_and_texture_of_the_held_out_images_are_measured_once(compared):
    config, _ = compared
    heldout = ActivationStore(Path(config.run) / "activations" / "heldout")
    file = Path(config.run) / "colour_texture.safetensors"
    written = file.stat().st_mtime_ns
    found = colours_and_textures(config, heldout)
    samples = splits(config).heldout
    np.testing.assert_array_equal(found[3], colour_texture(samples.read(int(heldout.rows[3])).image))
    assert len(found) == len(heldout)
    assert file.stat().st_mtime_ns == written
    assert class_groups(config, heldout).shape == (3,)


def test_a_random_run_with_another_rule_is_refused(compared):
    config, _ = compared
    with pytest.raises(InputError, match=r"at tau 0\.5"):
        open_random_run(replace(config, tau=0.25), tuple(sorted([BIRD, FRUIT, VEHICLE])))
    with pytest.raises(InputError, match="1 classes"):
        open_random_run(config, (BIRD,))


def test_a_finished_run_is_published_with_its_card_and_nothing_else(finished, hub):
    config, (sae, train), folder = finished
    run(replace(config, push_to_hub="org/run", push_tag="v1", private=True), sae, train, Accelerator())
    repo = hub.repo("org/run")
    served = repo.commits[repo.tags["v1"]]
    index = Artifact.load(folder).index
    assert set(served) == {".gitattributes", "README.md", "card/layers.svg", "hsae.json", *index.paths}
    assert repo.private
    assert '"org/run"' in served["README.md"].decode()
    assert Artifact.load("org/run", "v1").sha256 == Artifact.load(folder).sha256


def test_a_second_run_repeats_nothing_and_other_settings_repeat_their_stage(finished, monkeypatch):
    config, (sae, train), folder = finished
    files = [
        folder.parent / "saes" / "block_03.safetensors",
        folder / "hsae.json",
        *folder.parent.glob("activations/*/shard*"),
    ]

    def remade(config, train):
        before = [file.stat().st_mtime_ns for file in files]
        run(config, sae, train, Accelerator())
        return [file.stat().st_mtime_ns != then for file, then in zip(files, before, strict=True)]

    shards = [False] * (len(files) - 2)
    assert remade(config, train) == [False, False, *shards]
    assert remade(replace(config, tau=0.25), train) == [False, True, *shards]
    monkeypatch.setattr("training.build.__version__", "9.9.9")
    assert remade(replace(config, tau=0.25), train) == [False, True, *shards]
    assert remade(config, TrainConfig(epochs=3, batch_size=64)) == [True, True, *shards]


def test_a_result_that_was_deleted_or_cut_is_made_again_as_it_was(finished, caplog):
    config, (sae, train), folder = finished
    run(config, sae, train, Accelerator())
    saes, before = folder.parent / "saes" / "block_03.safetensors", Artifact.load(folder).sha256
    weights = saes.read_bytes()
    caplog.clear()
    os.truncate(saes, len(weights) // 2)
    shutil.rmtree(folder)
    run(config, sae, train, Accelerator())
    remade = [line for line in caplog.messages if str(folder.parent) in line and "is made again" in line]
    assert [f"{path} is" in line for path, line in zip([saes, folder], remade, strict=True)] == [True, True]
    assert saes.read_bytes() == weights
    assert Artifact.load(folder).sha256 == before


def test_a_share_of_every_class_is_set_apart():
    labels = [0] * 10 + [1] * 5 + [None] * 20
    apart = rows_apart(labels, 0.2)
    assert [sum(np.isin(apart, rows)) for rows in (range(10), range(10, 15), range(15, 35))] == [2, 1, 4]
    assert list(apart) == sorted(rows_apart(labels, 0.2)) != list(rows_apart(labels, 0.2, seed=1))


def test_classes_outside_wordnet_are_refused_before_anything_is_written(backbone_folder, tmp_path):
    config = RunConfig(run=str(tmp_path / "run"), backbone=backbone_folder, classes="n99999999")
    with pytest.raises(LabelError, match="n99999999"):
        run(config, SAEConfig(), TrainConfig(), Accelerator())
    assert not (tmp_path / "run").exists()


def test_a_heldout_share_of_everything_is_refused():
    with pytest.raises(InputError, match="heldout_share"):
        RunConfig(run="x", heldout_share=1.0)


def test_a_tracker_that_is_not_there_is_an_error_that_lists_those_one_can_choose(tmp_path, capsys):
    assert main(["--run", str(tmp_path / "run"), "--log_with", "paper"]) == 1
    assert "tensorboard" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_a_finished_training_leaves_its_summary_and_no_checkpoint(finished):
    assert [file.name for file in (finished[2].parent / "training").iterdir()] == ["summary.json"]


def test_a_run_with_enough_images_names_its_latents_itself(backbone_folder, tmp_path):
    """Blue and red pictures, half of each class under one node: what tells them is named, on images of its own."""
    generator = np.random.default_rng(0)
    for wnid, colour in {"n02123045": 0, "n02123394": 0, "n02958343": 2, "n04490091": 2}.items():
        for number in range(40):
            pixels = generator.integers(0, 60, (28, 28, 3), np.uint8)
            pixels[..., colour] += 180
            file = tmp_path / "images" / wnid / f"{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(file)
    config = RunConfig(
        run=str(tmp_path / "run"), backbone=backbone_folder, data=str(tmp_path / "images"), image_size=28,
        layers="block_03",
    )  # fmt: skip
    folder = run(config, SAEConfig(d_sae=48, k=4), TrainConfig(epochs=2, batch_size=64), Accelerator())
    artifact = Artifact.load(folder)
    names, table = artifact.taxonomy_rule["names"], artifact.latents("block_03")
    assert names["n_images"] == {"choice": 16, "confirm": 4, "test": 32}
    assert names["layers"]["block_03"]["n_named"] == (table.named == 1).sum()
    assert set(table.named) <= {0, 1}
    assert (table.label[table.named == 0] == "unnamed").all()
    assert artifact.probe("block_03").temperature != 1
