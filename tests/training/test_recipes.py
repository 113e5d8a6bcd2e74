"""Every recipe is rehearsed, and says what it costs and what to expect; the study's L1 weight is translated exactly."""

from pathlib import Path

import pytest
import torch

from training.settings import parse
from training.train import main

CONFIGS = Path(__file__).resolve().parents[2] / "training" / "configs"
_VIT = {"backbone": "openai/clip-vit-base-patch16", "image_size": 32, "layers": "block_02", "expansion": 1}
_SMALL = {"image_size": 64, "layers": "block_02", "d_sae": 128}
SMALLER = {
    "olson": {"backbone": "facebook/dinov2-small", "image_size": 28, "layers": "block_01,block_02", "expansion": 1},
    "saev": _VIT,
    "clip_rn50": {"d_sae": 128},
    "clip_vit_l14": _VIT,
    "cast": _SMALL | {"layers": "block_04"},
    "clip": _SMALL,
    "reclip": _SMALL,
}
"""What a rehearsal has in place of a recipe's own: backbones that fit a small machine, few layers, few latents.

The CLIP ResNet stays as it is, whose attention pools images of one size only.
"""
RECIPES = tuple(SMALLER)


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_parses_and_is_headed_by_command_cost_and_expectation(name):
    path = CONFIGS / f"{name}.yaml"
    run, sae, _ = parse(["--config", str(path)])
    assert run.run == f"runs/{name}" or name == "saev"
    assert sae.width(1024) >= 1024
    head = "\n".join(line for line in path.read_text().splitlines() if line.startswith("#"))
    assert f"training/configs/{name}.yaml" in head
    for word in ("Costs", "xpect"):
        assert word in head


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
def test_every_stage_of_a_recipe_runs(name, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("training.rehearsal.PER_CLASS", 8)  # images, each of which is a pass through a large backbone
    flags = {"run_dir": tmp_path / "run", "images_per_batch": 8, **SMALLER[name]}
    given = [part for flag, value in flags.items() for part in (f"--{flag}", str(value))]
    assert main(["--config", str(CONFIGS / f"{name}.yaml"), *given, "--rehearse"]) == 0
    table = capsys.readouterr().out
    for stage in ("training", "analysis"):
        assert stage in table
    assert list(tmp_path.iterdir()) == []  # nothing of a rehearsal stays


def test_the_studys_loss_is_ours_up_to_a_factor():
    """(1 / d) |x - x_hat|^2 / |x| + 8e-5 sum |z| per token, where all |x| are equal, against our units and weight."""
    _, sae, _ = parse(["--config", str(CONFIGS / "clip_rn50.yaml")])
    torch.manual_seed(0)
    d, length = 1024, 7.0
    x = torch.nn.functional.normalize(torch.randn(5, d, dtype=torch.float64), dim=-1) * length
    scale = d**0.5 / length
    ratios = []
    for amount in (0.1, 1.0, 10.0):
        x_hat = x + amount * torch.randn_like(x)
        z = amount * torch.rand(5, 64, dtype=torch.float64)
        theirs = ((x - x_hat) ** 2).mean(-1) / length + 8e-5 * z.sum(-1)
        ours = ((scale * (x - x_hat)) ** 2).mean(-1) + sae.l1 * (scale * z).sum(-1)
        ratios += (ours / theirs).tolist()
    assert max(ratios) / min(ratios) == pytest.approx(1, abs=1e-9)
