"""Every variant is trained to the same L0 and measured on the held-out images of a run."""

from __future__ import annotations

import pytest
import torch

from hsae.activations.extract import extract_activations
from hsae.activations.store import ActivationStore
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.variants import VARIANTS
from tests.activations.noise_images import noise_samples
from tests.tiny_models import tiny_dinov2
from training.variants import COLUMNS, l0, main, measured, trained


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    for name, n in {"train": 256, "heldout": 40}.items():
        extract_activations(tiny_dinov2(), noise_samples(n), folder / "activations" / name, progress=False)
    return folder


def test_a_row_for_every_variant(run, capsys):
    assert main([str(run), "--layers", "block_02", "--d_sae", "48", "--k", "4", "--epochs", "1"]) == 1
    assert "batch" in capsys.readouterr().err, "512 are more than there are images"
    settings = ["--d_sae", "48", "--k", "4", "--prefixes", "2", "--epochs", "2", "--batch_size", "32"]
    assert main([str(run), "--layers", "block_02", *settings]) == 0
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    names = [row[0].strip("| ") for row in rows[1:]]
    assert names == [*VARIANTS, "topk, 2 prefixes", "batchtopk, 2 prefixes"]
    assert all(len(row) == len(COLUMNS) + 1 for row in rows)
    topk = dict(zip(COLUMNS, rows[2][1:], strict=True))
    assert float(topk["l0"]) <= 4
    assert 0 < float(topk["fvu"]) < 1


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_the_penalty_is_moved_until_the_l0_is_k(run, activation):
    store = ActivationStore(run / "activations" / "train")
    x = store.layer("block_02").flatten(0, 1)
    for k in (4, 16):
        config = SAEConfig(activation, d_sae=48, k=k)
        sae = trained(store, "block_02", config, TrainConfig(epochs=10, batch_size=32))
        assert l0(sae, x) == pytest.approx(k, rel=0.15)


def test_a_worse_sae_measures_worse(run):
    train, heldout = (ActivationStore(run / "activations" / name) for name in ("train", "heldout"))
    mean = train.layer("block_02").mean((0, 1))
    sae = trained(train, "block_02", SAEConfig(d_sae=48, k=8), TrainConfig(epochs=10, batch_size=32))
    good = measured(sae, heldout, "block_02", mean)
    with torch.no_grad():
        sae.W_dec.copy_(sae.W_dec.roll(1, 0))
    assert measured(sae, heldout, "block_02", mean)["fvu"] > 2 * good["fvu"]
