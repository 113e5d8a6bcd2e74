"""Planted leakage is found at its layer only; segments of objects are pure and nest; CAST's own nest always."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from hsae.backbones.base import LayerSpec
from hsae.commands import within
from hsae.consistency.leakage import leakage, leakage_table, pictures_of_pairs
from hsae.consistency.segmentations import OWN, cut_by_layers, cut_by_model, segment_rows, segment_table
from hsae.errors import InputError
from hsae.steering.segmentation.head import PatchHead
from hsae.steering.segmentation.observed import Observed, observe
from hsae.steering.segmentation.sets import starter_composites
from tests.backbones.odd_models import CAST_SIDE, tiny_cast
from tests.tiny_models import PATCH, SIDE, PlainBackbone, tiny_dinov2

CLASSES = ("background", "n01503061", "n01861778", "n04524313")
CLEAN, MIXED = "stage_1", "stage_2"


class TwoStages(PlainBackbone):
    layers = {name: LayerSpec(name, 4, 0) for name in (CLEAN, MIXED)}  # noqa: RUF012


def observed(patches: np.ndarray, random: np.random.Generator) -> Observed:
    """Patches `[4, 4]` of classes; activations are their one-hot codes, and in MIXED every class of the picture's."""
    clean = 4 * np.eye(4)[patches.ravel()] + 0.1 * random.normal(size=(16, 4))
    mixed = clean + 2 * np.isin(np.arange(4), patches)
    x = {CLEAN: clean, MIXED: mixed}
    truth = np.kron(patches, np.ones((PATCH, PATCH), int))
    return Observed({layer: torch.tensor(values)[None].float() for layer, values in x.items()}, truth)


def planted_pairs(n: int = 12):
    """Two objects of two of the three classes, in the upper and the lower row, and either alone."""
    random = np.random.default_rng(0)
    for _ in range(n):
        first, second = random.permutation([1, 2, 3])[:2]
        upper, lower = np.zeros((2, 4, 4), int)
        upper[0], lower[3, :2] = first, second
        yield from (observed(patches, random) for patches in (upper + lower, upper, lower))


HEAD = PatchHead(torch.eye(4), torch.zeros(4), CLASSES)


@pytest.fixture(scope="module")
def leaks():
    return leakage(TwoStages(), {CLEAN: HEAD, MIXED: HEAD}, planted_pairs())


def test_leakage_is_found_where_it_was_planted(leaks):
    table = leakage_table(leaks, [CLEAN, MIXED]).set_index("layer")
    assert table.pictures.tolist() == [12, 12]
    assert table.low[MIXED] > 0.01
    assert table.p[MIXED] < 0.01
    assert abs(table.leak[CLEAN]) < 0.005
    assert (table.third_leak.abs() < 0.005).all()
    assert (table.right == 1).all()


def test_probabilities_are_worked_out_by_hand(leaks):
    rows = leaks[leaks.layer == MIXED]
    assert len(rows) == 24  # two objects of each picture
    # With the other object: 4 + 2 for its own class, 2 for background and the other, 0 for the third; alone 0 for both.
    beside = np.exp([6, 2, 2, 0]) / np.exp([6, 2, 2, 0]).sum()
    alone = np.exp([6, 2, 0, 0]) / np.exp([6, 2, 0, 0]).sum()
    assert rows.other.mean() == pytest.approx(beside[2], rel=0.1)
    assert rows.other_alone.mean() == pytest.approx(alone[2], rel=0.1)
    assert rows.third.mean() == pytest.approx(beside[3], rel=0.1)


def test_an_object_too_small_for_a_patch_is_left_out():
    random = np.random.default_rng(0)
    upper = np.zeros((4, 4), int)
    upper[0] = 1
    both, first, second = (observed(upper, random) for _ in range(3))
    second.truth[:] = 0
    second.truth[-1, -1] = both.truth[-1, -1] = 2
    rows = leakage(TwoStages(), {CLEAN: HEAD}, [both, first, second])
    assert rows.label.tolist() == [CLASSES[1]]


def composites(side: int = SIDE):
    colours = [Image.new("RGB", (side, side), colour) for colour in ("green", "navy", "olive", "teal")]
    return starter_composites(colours[::2], colours[1::2])


def test_either_object_stands_alone_where_it_stood_beside_the_other():
    _, test = composites()
    pictures = list(pictures_of_pairs(test, 3))
    for (both, truth), (first, of_first), (second, of_second) in zip(*[iter(pictures)] * 3, strict=True):
        assert (truth == of_first + of_second).all()
        for alone, mask in ((first, of_first > 0), (second, of_second > 0)):
            assert (np.asarray(alone)[mask] == np.asarray(both)[mask]).all()
            background = np.asarray(alone)[~mask]
            assert (background == background[0]).all()
    again = [image.tobytes() for image, _ in test.beside(3)]
    assert again == [image.tobytes() for image, _ in pictures[::3]]


def test_segments_of_planted_objects_are_pure_and_nest():
    seen = list(planted_pairs())[::3]
    table = segment_table(segment_rows(cut_by_layers(TwoStages(), [CLEAN], seen))).set_index("segments")
    assert table.index.tolist() == [2, 4, 8, 16]
    assert (table.purity.loc[4:] == 1).all()
    assert (table.purity_shuffled.loc[:8] < 0.8).all()
    assert (table.nested.loc[4:8] > 0.8).all()
    assert np.isnan(table.nested[2])
    assert table.nested_low[8] > 0


def test_segments_of_noise_follow_nothing():
    random = np.random.default_rng(0)
    seen = []
    for one in list(planted_pairs())[::3]:
        seen.append(Observed({CLEAN: torch.tensor(random.normal(size=(1, 16, 4))).float()}, one.truth))
    table = segment_table(segment_rows(cut_by_layers(TwoStages(), [CLEAN], seen))).set_index("segments")
    assert table.purity[4] == pytest.approx(table.purity_shuffled[4], abs=0.08)
    assert table.purity_low[4] < 0 < table.purity_high[4]


@pytest.mark.filterwarnings("ignore:.*superpixels.*")
def test_casts_own_segments_nest_by_construction():
    backbone = tiny_cast()
    _, test = composites(CAST_SIDE)
    rows = segment_rows(cut_by_model(backbone, test.beside(3)))
    assert set(rows.layer) == {OWN}
    assert rows.segments.tolist() == [2, 3, 5, 7, 16] * 3
    assert (rows.nested.dropna() == 1).all()
    assert rows.nested.isna().sum() == 3
    purity = rows.groupby("segments").purity.mean()
    assert purity.is_monotonic_increasing


@pytest.mark.filterwarnings("ignore:.*superpixels.*")
def test_the_command_measures_patches_and_segments(monkeypatch, tmp_path, capsys):
    models = {"tiny": tiny_dinov2(), "cast": tiny_cast(), "plain": TwoStages()}
    monkeypatch.setattr(within, "load_backbone", models.__getitem__)
    monkeypatch.setattr(
        within, "backgrounds_of", lambda _, side, n: [Image.new("RGB", (side, side), c) for c in ("green", "navy")]
    )
    options = SimpleNamespace(
        models=["tiny:block_01,block_03", "cast"], photographs="starter:photos", copies=1, pairs=2, seed=0,
        out=tmp_path / "within.json",
    )  # fmt: skip
    within.run(options)
    written = json.loads((tmp_path / "within.json").read_text())
    assert {(row["model"], row["layer"]) for row in written["leakage"]} == {("tiny", "block_01"), ("tiny", "block_03")}
    assert {row["layer"] for row in written["segmentations"] if row["model"] == "cast"} == {OWN}
    assert "leakage" in capsys.readouterr().out
    monkeypatch.setattr(within, "FEWEST", 17)
    options.models = ["tiny:block_01"]
    with pytest.raises(InputError, match="block_01 with fewer than 17 places"):
        within.run(options)
    monkeypatch.setattr(within, "backgrounds_of", lambda *_: [])
    with pytest.raises(InputError, match="0 photographs of starter:photos"):
        within.run(options)


def test_pictures_are_observed_in_threes():
    learn, test = composites()
    seen = list(observe(tiny_dinov2(), pictures_of_pairs(test, 2), ["block_01"]))
    assert len(seen) == 6
    assert set(np.unique(seen[0].truth)) == set(np.unique(seen[1].truth)) | set(np.unique(seen[2].truth))
    wnids = [{composites.samples.key(row) for row in range(len(composites.samples))} for composites in (learn, test)]
    assert wnids[0].isdisjoint(wnids[1])
