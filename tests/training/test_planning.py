"""A plan counts what a run needs, chooses how many layers train at once, and names the flag that makes it fit."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from hsae.backbones.registry import load_backbone
from hsae.data.samples import load_samples
from hsae.errors import InputError
from hsae.sae.config import SAEConfig, TrainConfig
from training.planning import costs
from training.planning.ahead import plan_ahead
from training.planning.costs import Asked
from training.planning.machine import Machine, parse_machine, spelled
from training.planning.plan import plan_run
from training.planning.rates import Rates, given_rates
from training.planning.shape import Images, LayerShape, RunShape, shape_of
from training.run_config import RunConfig

GB, TB = 10**9, 10**12
GIANT = RunShape(
    layers=(LayerShape(1536, 12_288, 1, 257 * 1536),) * 40,
    images=Images(train=1_281_167, heldout=50_000, starter=297, classes=1000),
    parameters=1_136_480_768,
    flops=583e9,
    image_size=224,
)


def asked(shape: RunShape = GIANT, processes: int = 1, gpu: bool = False, **flags: object) -> Asked:
    return Asked(RunConfig(run="x", **flags), SAEConfig(), TrainConfig(), shape, processes, gpu)


def test_machines_are_read_from_words():
    assert parse_machine("8x80GB,2TB") == Machine(2 * TB, 80 * GB, 8, None, processes=8)
    assert parse_machine("1 x 24GiB, 64GB, 1.5TB") == Machine(64 * GB, 24 * 2**30, 1, 1_500_000_000_000)
    assert parse_machine("24gb") == Machine(24 * GB)
    with pytest.raises(InputError, match="8x80GB,2TB"):
        parse_machine("a large one")


def test_bytes_have_units():
    assert [spelled(n) for n in (315e9, 1.5e12, 2e6, 10)] == ["315 GB", "1.5 TB", "2.0 MB", "0.0 MB"]


def test_the_store_of_the_whole_of_imagenet_is_315_gigabytes_and_half_of_it_in_two_bytes():
    whole, half = (costs.activations(asked(store_dtype=name), None).disk for name in ("float32", "bfloat16"))
    assert whole == (1_281_167 + 50_000 + 297) * 40 * 1536 * 4
    assert half == 1_281_167 * 40 * 1536 * 2 + 50_297 * 40 * 1536 * 4


def test_training_holds_weights_and_two_moments_of_every_layer_of_a_group():
    weights = 4 * (2 * 1536 * 12_288 + 12_288 + 1536)
    one, all_ = (costs.training(asked(gpu=True), None, layers) for layers in (1, 40))
    train = asked().train
    waiting, pool = 3 * train.batch_size, 1.25 * train.buffer_tokens
    assert all_.device - one.device == pytest.approx(39 * (3 * weights + 4 * 1536 * (waiting + pool)))
    assert one.scratch == 3 * weights
    assert all_.disk == one.disk == 40 * weights
    assert (one.checkpoints, all_.checkpoints) == (40 * 51, 51)  # 25 020 steps, one every 500


@pytest.mark.parametrize(("machine", "layers"), [("1x80GB,2TB", 40), ("1x24GB,128GB", 20), ("64GB", 20), ("16GB", 5)])
def test_as_many_layers_train_at_once_as_fit_in_groups_of_one_size(machine, layers):
    plan = plan_run(asked(gpu="x" in machine), parse_machine(machine))
    passes = -(-40 // plan.layers_at_once)
    assert plan.layers_at_once == -(-40 // passes)
    assert abs(plan.layers_at_once - layers) <= 10
    fits = costs.training(asked(gpu="x" in machine), None, plan.layers_at_once)
    assert fits.host < parse_machine(machine).host
    if plan.layers_at_once < 40:
        more = costs.training(asked(gpu="x" in machine), None, -(-40 // (passes - 1)))
        room = 0.85 * (parse_machine(machine).device or parse_machine(machine).host)
        assert (more.device or more.host) > room


@pytest.mark.parametrize("machine", ["12GB", "1x4GB,12GB", "1x80GB,2TB,200GB", "1x80GB,2TB,20GB", "3GB"])
def test_what_does_not_fit_is_said_with_a_flag_that_makes_it_fit(machine):
    wanted = asked(gpu="x" in machine)
    plan = plan_run(wanted, parse_machine(machine))
    assert plan.problems
    for problem in plan.problems:
        assert problem in plan.table()
        if "--" not in problem or "no single flag" in problem:
            continue
        name, value = problem.split("--")[1].split()[:2]
        part = "config" if name in RunConfig.__dataclass_fields__ else "train"
        part = part if name not in SAEConfig.__dataclass_fields__ else "sae"
        typed = int(value) if value.isdigit() else value
        mended = replace(wanted, **{part: replace(getattr(wanted, part), **{name: typed})})
        said = problem.split(" needs ")[0].split(" GB on the disk")[0]
        assert not [p for p in plan_run(mended, parse_machine(machine)).problems if p.startswith(f"{said} needs")]


def test_a_small_run_fits_and_has_no_problems():
    small = replace(GIANT, layers=GIANT.layers[:1], images=Images(1000, 100), parameters=10**6)
    assert plan_run(asked(small), parse_machine("24GB,1TB")).problems == ()


def test_time_grows_with_images_epochs_and_layers_and_falls_with_processes():
    rates = Rates({"float32": 0.01, "bfloat16": 0.005}, {1536: 1e-5})
    extraction = costs.activations(asked(train_precision="bfloat16"), rates)
    assert extraction.seconds == pytest.approx(1_281_167 * 0.005 + 50_297 * 0.01)
    alone, eight = (costs.training(asked(processes=n), rates, 40).seconds for n in (1, 8))
    saving = [costs.training(asked(processes=n), Rates(rates.image, {1536: 0.0}), 40).seconds for n in (1, 8)]
    assert alone - saving[0] == pytest.approx(20 * 1_281_167 * 40 * 1e-5)
    assert eight - saving[1] == pytest.approx((alone - saving[0]) / 8)


def test_each_process_begins_and_saves_the_saes_that_it_trains():
    rates, weights = Rates({"float32": 0.0}, {1536: 0.0}), 40 * 4 * (2 * 1536 * 12_288 + 12_288 + 1536)
    one, every, layers = (
        costs.training(replace(asked(processes=n), train=train), rates, 40).seconds
        for n, train in (
            (1, TrainConfig()),
            (8, TrainConfig(checkpoint_every=10**6)),
            (8, TrainConfig(parallel="layer")),
        )
    )
    assert layers == pytest.approx(one / 8)
    assert one - every == pytest.approx(50 * 3 * weights * costs.WRITTEN)


def test_a_gpu_of_twice_the_speed_takes_half_the_time():
    slow, fast = (given_rates(GIANT, flops) for flops in (1e14, 2e14))
    assert slow.image["float32"] == 2 * slow.image["bfloat16"] == 2 * fast.image["float32"]
    assert slow.vector[1536] == 2 * fast.vector[1536]


def test_sizes_of_a_published_model_are_known_without_its_weights():
    backbone = load_backbone("facebook/dinov2-giant@random", device="meta")
    shape = shape_of(RunConfig(run="x", backbone="facebook/dinov2-giant"), SAEConfig(), backbone, GIANT.images)
    assert shape.parameters == GIANT.parameters
    assert shape.layers == GIANT.layers
    assert shape.flops == pytest.approx(2 * 257 * GIANT.parameters, rel=0.03)
    assert next(backbone.model.parameters()).device == torch.device("meta")


@pytest.mark.parametrize(
    ("flags", "images", "trained"),
    [
        (["--label_map", "imagenet-1k"], "1281167,50000", 1_281_167 - 192_175),  # 15 %, as where a class has 20 images
        (["--label_map", "imagenet-1k", "--choice_share", "0.04"], "1281167,50000", 1_281_167 - 51_247),
        (["--label_map", "imagenet-1k"], "19000,500", 19_000),  # too few of a class
        (["--label_map", "none"], "1281167,50000", 1_281_167),
    ],
)
def test_of_images_that_are_not_here_as_many_are_set_apart_as_a_run_would(flags, images, trained):
    base = ["--run_dir", "runs/x", "--data", "somewhere", "--backbone", "facebook/dinov2-base", *flags]
    extraction, training, analysis = plan_ahead(base, images, "8x80GB,2TB", 400).stages
    total, heldout = map(int, images.split(","))
    assert training.images == trained
    assert analysis.images == heldout
    assert extraction.images == total + heldout + len(load_samples("starter"))


def test_a_plan_ahead_says_which_numbers_it_wants():
    with pytest.raises(InputError, match="1281167,50000"):
        plan_ahead(["--run_dir", "runs/x", "--data", "somewhere"], "many", "24GB", 1)
