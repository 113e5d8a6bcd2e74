"""A small benchmark from stores to table: order of the contestants, a restart, and requests that cannot be met."""

from __future__ import annotations

import argparse
import json

import numpy as np
import pandas as pd
import pytest
import torch

from hsae.activations.labels import Labels, write_labels
from hsae.bench.grid import FULL, QUICK, Grid, read_grid
from hsae.bench.images import open_images
from hsae.bench.plots import common_heights
from hsae.commands import bench
from hsae.errors import InputError, StoreError
from hsae.sae.config import SAEConfig
from tests.measures.wordnet.labelled_scores import CLASSES
from tests.synthetic import write_store

GRID = """
d_sae: [24]
L0: [4, 8]
epochs: 4
batch_size: 64
variants:
  topk: {activation: topk}
  frozen: {activation: topk, frozen: decoder, L0: [4]}
  nested: {activation: topk, ks: "1,{L0}", k_weights: "1,1", L0: [4], seeds: [0, 1]}
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Stores of a run whose classes are directions in noise."""
    folder = tmp_path_factory.mktemp("run")
    torch.manual_seed(0)
    means = 3 * torch.randn(len(CLASSES), 16)
    for name, a_class in {"train": 40, "choice": 24, "heldout": 20}.items():
        labels = torch.arange(len(CLASSES)).repeat(a_class)
        x = means[labels] + 1.5 * torch.randn(len(labels), 16)
        write_store(folder / "activations" / name, {"block_01": x[:, None]}, shard_rows=100)
        write_labels(folder / "activations" / name, Labels(CLASSES, labels, "given"))
    (folder / "grid.yaml").write_text(GRID)
    return folder


def ask(run, **changes):
    options = {"run": run, "layers": "block_01", "grid": run / "grid.yaml", "quick": False, "parts": "", "out": None}
    options |= {"random_backbone": None, "add": None}
    bench.run(argparse.Namespace(**options | changes))


@pytest.fixture(scope="module")
def frame(run):
    ask(run, parts="blurred:120,sharp:200")
    return pd.read_csv(run / "bench" / "table.csv")


def test_probes_lead_and_random_directions_are_zero(frame):
    R = frame.groupby("name").R.max()
    assert R["random"] == 0
    assert R["probes"] == 1
    assert (R.drop("probes") < 1).all()
    assert R["k-means whitened"] > 0.3
    assert frame[frame.name == "topk"].target.tolist() == [4, 8]
    assert set(frame[frame.name == "nested"].seed) == {0, 1}
    assert R["frozen"] < R["topk"]
    stable = frame.set_index(["name", "seed"]).stable
    assert 0 < stable["nested", 0] <= 1
    assert stable.notna().sum() == 1
    inside = frame[["R_low", "R", "R_high"]].dropna()
    assert ((inside.R_low <= inside.R) & (inside.R_high >= inside.R)).all()


def test_sae_rows_have_what_saes_have(frame):
    saes = frame[frame.target.notna()]
    assert saes[["fvu", "l0", "dead", "acc_x", "acc_x_hat", "acc_unchanged"]].notna().all(axis=None)
    assert (saes.l0 <= saes.target + 1e-6).all()
    assert {"tree_precision", "tree_recall_random", "node_ap_latents", "node_ap_random_latents"} <= set(frame.columns)
    assert frame[frame.target.isna()].fvu.isna().all()
    assert frame[["blurred.node_ap", "sharp.node_ap", "sharp.R", "sparse_1", "purity"]].notna().all(axis=None)
    assert len(frame) == len(list(entries_of_the_test()))


def entries_of_the_test():
    return Grid(
        {
            "topk": {"activation": "topk"},
            "frozen": {"activation": "topk", "L0": (4,)},
            "nested": {"activation": "topk", "L0": (4,), "seeds": (0, 1)},
        },
        d_sae=(24,),
        L0=(4, 8),
    ).entries("block_01")


def test_what_is_finished_is_kept(run, frame, monkeypatch):
    rows = sorted((run / "bench").glob("*.json"))
    before = {path: path.stat().st_mtime_ns for path in rows}
    rows[3].unlink()
    made = []
    real = bench.run_grid.__globals__["make"]
    monkeypatch.setattr(
        "hsae.bench.suite.make", lambda *layer, **given: made.append(given["entry"].name) or real(*layer, **given)
    )
    ask(run, parts="blurred:120,sharp:200")
    assert len(made) == 1
    assert sorted((run / "bench").glob("*.json")) == rows
    assert sum(path.stat().st_mtime_ns != before[path] for path in rows) == 1
    again = pd.read_csv(run / "bench" / "table.csv")
    pd.testing.assert_frame_equal(again, frame, rtol=1e-3)


def test_plots_and_tables_are_written(run, frame):
    for name in ("tradeoff", "layers"):
        assert (run / "bench" / f"{name}.png").stat().st_size > 1000
    lines = (run / "bench" / "table.md").read_text().splitlines()
    assert len(lines) == len(frame) + 2
    assert len({line.count("|") for line in lines}) == 1


@pytest.mark.slow
def test_other_images_are_other_rows(run):
    """A row is found again only for the same parts."""
    ask(run, grid=run / "grid.yaml", out=run / "other")
    names = {path.name for path in (run / "bench").glob("*.json")}
    assert not names & {path.name for path in (run / "other").glob("*.json")}


@pytest.mark.slow
def test_another_backbone_is_told_apart(run, frame):
    """The very same activations as those of a random backbone: the same R, under another name."""
    ask(run, parts="blurred:120,sharp:200", random_backbone=run)
    both = pd.read_csv(run / "bench" / "table.csv").set_index("name")
    assert len(both) == len(frame) + 4
    assert both.R["topk, random backbone"].tolist() == pytest.approx(both.R["topk"].tolist(), abs=1e-6)


def test_a_damaged_row_is_named(run, frame):
    path = next(path for path in (run / "bench").glob("*.json") if '"name":"probes"' in path.read_text())
    content = path.read_text()
    path.write_text(content[:50])
    try:
        with pytest.raises(StoreError, match=f"{path.stem}.*damaged"):
            ask(run, parts="blurred:120,sharp:200")
    finally:
        path.write_text(content)
    assert json.loads(content)["entry"]["layer"] == "block_01"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": "block_09"}, "layers block_09"),
        ({"parts": "sharp:7"}, "a sum of 320"),
        ({"parts": "sharp"}, "NAME:ROWS"),
        ({"quick": True}, "--quick with --grid"),
    ],
)
def test_what_cannot_be_done_is_said(run, changes, said):
    with pytest.raises(InputError, match=said):
        ask(run, **changes)


def test_a_run_without_choice_is_told_how_to_get_one(tmp_path):
    with pytest.raises(StoreError, match="choice_share"):
        open_images(tmp_path, {})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[1, 2]", "list"),
        ("variants: {a: {activation: topk}}\nwidths: [3]", "widths"),
        ("variants: {a: {activation: swish}}", "swish"),
        ("variants: {a: {activation: topk, colour: red}}", "colour"),
        ("variants: {random: {activation: topk}}", "named random"),
        ("variants: {a: {activation: topk}}\nbaselines: [chance]", "chance"),
        ("variants: {a: {activation: topk}}\nL0: [5000]", "d_sae"),
    ],
)
def test_a_wrong_grid_is_refused_before_anything_runs(tmp_path, text, said):
    (tmp_path / "grid.yaml").write_text(text)
    with pytest.raises(InputError, match=said):
        read_grid(tmp_path / "grid.yaml")


def test_sparsity_stands_in_texts_and_targets():
    grid = Grid(
        {"nested": {"activation": "topk", "ks": "1,{L0}"}, "relu": {"activation": "relu", "whiten": 0.25}},
        d_sae=(64,),
        L0=(8,),
    )
    nested, relu = (entry.sae for entry in grid.entries("x") if entry.sae)
    assert nested == SAEConfig("topk", d_sae=64, ks=(1, 8))
    assert relu == SAEConfig("relu", d_sae=64, l0_target=8.0, whiten=0.25)
    assert len(list(QUICK.entries("x"))) < 15 < len(list(FULL.entries("x")))


def test_common_heights_are_taken_where_all_lines_are():
    line = np.array([0.0, 1, 2, 3]), np.array([0.0, 1, 2, 3])
    flat = np.array([1.0, 2]), np.array([5.0, 5])
    assert common_heights([line, flat]) == pytest.approx([1.5, 5])
    assert np.isnan(common_heights([line, (np.array([1.0]), np.array([1.0]))])[1])
    assert np.isnan(common_heights([line, (line[0] + 10, line[1])])).all()
