"""A rehearsal runs every stage with the shapes of the run and nothing of its data or weights."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from accelerate import Accelerator

from hsae.sae.config import SAEConfig, TrainConfig
from tests.tiny_models import tiny_model
from training.rehearsal import n_train, rehearse, rehearsed
from training.run_config import RunConfig
from training.train import main


@pytest.mark.slow
def test_every_stage_runs_without_weights_or_data_and_nothing_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny_model(seed=1).save_pretrained(tmp_path / "tiny")
    (tmp_path / "tiny" / "model.safetensors").unlink()
    config = RunConfig(run=str(tmp_path / "run"), data="nobody/has-it", backbone=str(tmp_path / "tiny"), image_size=28)
    settings = (config, SAEConfig(d_sae=32, k=4), TrainConfig(batch_size=4096))
    ledger = rehearse(settings, Accelerator())
    assert list(ledger.stages) == ["activations", "training", "analysis"]
    assert all(used.seconds > 0 and used.disk > 0 for used in ledger.stages.values())
    assert [stage.name for stage in ledger.plan.stages] == list(ledger.stages)
    assert ledger.stages["training"].disk == pytest.approx(ledger.plan.stages[1].disk, rel=0.5)
    assert "planned" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {"tiny"}


def test_what_decides_sizes_stays_and_what_leaves_the_machine_goes(tmp_path: Path) -> None:
    config = RunConfig(
        run="x", backbone="facebook/dinov2-giant", token="patch", activations="online", push_to_hub="org/name",
        second_encoder="efficientnet-lite0", store_dtype="bfloat16", layers="block_01", layers_at_once=3,
    )  # fmt: skip
    own, sae, train = rehearsed(config, SAEConfig(expansion=4), TrainConfig(batch_size=16_384), tmp_path)
    assert (own.backbone, own.token, own.activations) == ("facebook/dinov2-giant@random", "patch", "online")
    assert (own.store_dtype, own.layers, own.layers_at_once, sae.expansion) == ("bfloat16", "block_01", 3, 4)
    assert (own.push_to_hub, own.second_encoder) == (None, None)
    tuned = replace(config, backbone="folder/of-a-fine-tune", base_backbone="openai/clip-vit-base-patch32")
    (own, _, _) = rehearsed(tuned, SAEConfig(), TrainConfig(), tmp_path)
    assert (own.backbone, own.base_backbone) == ("openai/clip-vit-base-patch32@random", None)
    assert train.batch_size == n_train() == 36


@pytest.mark.slow
def test_a_large_model_is_rehearsed_by_its_flag(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = {
        "backbone": "google/vit-large-patch16-224",
        "layers": "block_01,block_02",
        "image_size": 32,
        "d_sae": 64,
        "k": 4,
    }
    flags |= {"run_dir": tmp_path / "run"}
    assert main([part for name, value in flags.items() for part in (f"--{name}", str(value))] + ["--rehearse"]) == 0
    table = capsys.readouterr().out
    assert "activations" in table
    assert "analysis" in table
