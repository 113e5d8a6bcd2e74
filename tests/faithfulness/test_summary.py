"""What many scores come to, by hand; and that the controls stand at chance when everything is measured."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import torch

from hsae.artifacts.documents.faithfulness import write_faithfulness
from hsae.data.samples import load_samples
from hsae.errors import InputError
from hsae.faithfulness.measure import RANDOM, Subject
from hsae.faithfulness.report import FaithfulnessConfig, pairs_on_photos, score_layer, table
from hsae.faithfulness.summary import chosen_method, feature_columns, placement_table, removal_table
from hsae.relevancy import METHODS
from tests.tiny_models import PlainBackbone, colour_sae, random_sae, tiny_dinov2


def removal(latent, method, lost, deletion, insertion, other_gap=0.0, baseline="blur", photo="one"):
    names = ("photo", "latent", "method", "baseline", "lost", "deletion", "insertion", "other_gap")
    return dict(zip(names, (photo, latent, method, baseline, lost, deletion, insertion, other_gap), strict=True))


ROWS = pd.DataFrame(
    [
        removal(7, "good", 2.0, 0.5, 1.5, 0.25),
        removal(7, "bad", 2.0, 1.0, 0.5),
        removal(4, "good", -1.0, -0.5, 0.0, 0.5),
        removal(4, "bad", -1.0, 0.0, 0.0),
        removal(4, "good", 1.0, 0.0, 1.0, 0.5, photo="two"),
        removal(9, "good", 0.0, 0.0, 0.0),
        removal(9, "good", 1.0, 0.0, 1.0, baseline="mean"),
    ]
)


def test_methods_are_compared_by_ratios_of_sums():
    found = removal_table(ROWS).set_index(["method", "baseline"])
    good = found.loc["good", "blur"]
    assert (good["deletion"], good["insertion"], good["gap"], good["other_gap"]) == (0, 2.5 / 4, 2.5 / 4, 1.25 / 4)
    assert good["n"] == 4
    assert (good["gap_low"], good["gap_high"]) == (pytest.approx(1.5 / 3), 1)  # the two photographs
    assert found.loc["bad", "blur"]["gap"] == pytest.approx(-0.5 / 3)
    assert removal_table(ROWS)["gap"].is_monotonic_decreasing
    assert np.isnan(found.loc["good", "mean"]["gap_low"])


def test_the_interval_is_that_of_photographs_and_not_of_latents():
    """Ten latents of a photograph share its gap: they are no more evidence than one."""
    random = np.random.default_rng(0)
    gaps = random.normal(0.3, 0.2, 40)
    once = [removal(i, "good", 1.0, 0.0, gap, photo=str(i)) for i, gap in enumerate(gaps)]
    often = [row for row in once for _ in range(10)]
    (one,), (ten,) = (removal_table(pd.DataFrame(rows)).itertuples() for rows in (once, often))
    assert (one.n_photos, ten.n_photos, ten.n) == (40, 40, 400)
    assert (ten.gap_low, ten.gap_high) == pytest.approx((one.gap_low, one.gap_high))
    assert one.gap_high - one.gap_low == pytest.approx(2 * 1.96 * gaps.std() / np.sqrt(40), rel=0.1)


def test_the_chosen_method_depends_on_the_latent_it_explains():
    rows = [removal(1, "same for all", 1.0, 0.0, 0.9, 0.8), removal(1, "own", 1.0, 0.0, 0.5, 0.1)]
    assert chosen_method(pd.DataFrame([*rows, removal(1, RANDOM, 1.0, 0.0, 0.9)]), RANDOM) == "own"


def test_scores_by_latent_are_of_one_baseline_and_null_where_nothing_was_lost():
    found = feature_columns(ROWS, "blur")
    assert found["latent"] == [4, 7, 9]
    assert found["lost"] == [pytest.approx(-1 / 3, abs=1e-5), 2.0, 0.0]
    assert found["gap"] == {"good": [0.75, 0.5, None], "bad": [0.0, -0.25, None]}
    assert found["other_gap"]["good"] == [0.5, 0.125, None]


def test_placements_are_averaged_over_scenes():
    names = ("pointing", "pointing_chance", "energy", "energy_chance", "other_pointing", "other_energy")
    rows = [("a", 1.0), ("a", 0.0), ("b", 1.0), ("b", 1.0)]
    frame = pd.DataFrame([{"latent": 1, "method": method} | dict.fromkeys(names, value) for method, value in rows])
    found = placement_table(frame)
    assert found["method"].to_list() == ["b", "a"]
    assert found["pointing"].to_list() == [1, 0.5]
    assert found["pointing_error"].to_list() == [0, 0.5]
    assert found["n"].to_list() == [2, 2]


def test_pairs_share_a_photograph_and_none_comes_twice():
    photos = {latent: [f"photo {latent // 3}", "shared"] for latent in range(12)} | {20: ["lonely"], 21: []}
    pairs = list(pairs_on_photos(photos, 4, np.random.default_rng(0)))
    assert len(pairs) == len({key for key, _ in pairs}) == 4
    latents = [latent for _, pair in pairs for latent in pair]
    assert len(set(latents)) == 8
    assert all(key in photos[latent] for key, pair in pairs for latent in pair)
    assert len(list(pairs_on_photos(photos, 50, np.random.default_rng(0)))) <= 5


CONFIG = FaithfulnessConfig(n_photos=4, n_scenes=3, baselines=("mean",), progress=False)


@pytest.fixture(scope="module")
def samples():
    return load_samples("starter:cutouts").take(4)


@pytest.fixture(scope="module")
def scores(samples):
    photos = {latent: [samples.key(latent % 4)] for latent in range(8)} | {9: []}
    return score_layer(Subject(tiny_dinov2(), random_sae(), "block_02", "cls"), samples, photos, CONFIG)


def test_every_method_and_the_control_are_scored_on_the_same_photographs_and_scenes(scores):
    expected = {*METHODS, RANDOM}
    for frame, each in ((scores.removals, 4), (scores.placements, 3)):
        assert frame.groupby("method").size().to_dict() == dict.fromkeys(expected, each)
    assert scores.placements.groupby("method")["pointing_chance"].mean().nunique() == 1
    lost = scores.removals.groupby("latent")["lost"]
    assert (lost.nunique() == 1).all()


def test_the_document_is_plain_json_and_the_table_has_a_row_for_every_method(scores):
    found = write_faithfulness({"block_02": scores}, "starter", CONFIG)
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    layer = found["layers"]["block_02"]
    assert {row["method"] for row in layer["removal"]} == {*METHODS, RANDOM}
    assert len(layer["features"]["latent"]) == len(layer["features"]["gap"]["direct"]) == 4
    rows = table({"block_02": scores})
    assert len(rows) == len(METHODS) + 1
    assert not rows[["gap", "pointing", "energy"]].isna().any().any()


def test_a_cnn_is_scored_by_the_methods_it_has(samples):
    photos = {latent: [samples.key(latent % 2)] for latent in range(24)}
    subject = Subject(PlainBackbone(), random_sae(d_in=3), "stage_1", "mean")
    found = score_layer(subject, samples, photos, FaithfulnessConfig(4, 40, ("blur",), progress=False))
    expected = {name for name, row in METHODS.items() if row.attention == "none"} | {RANDOM}
    assert set(found.removals["method"]) == set(found.placements["method"]) == expected
    means = placement_table(found.placements).set_index("method")
    # Colours of patches are read one by one: the maps are true, and those by chance are at chance.
    assert means.loc["projection", "pointing"] > means.loc[RANDOM, "pointing"]
    spread = found.placements[found.placements["method"] == RANDOM]["pointing"].std() / np.sqrt(40)
    assert abs(means.loc[RANDOM, "pointing"] - means.loc[RANDOM, "pointing_chance"]) < 3 * spread


def test_a_patch_sae_is_read_where_it_is_strongest():
    subject = Subject(PlainBackbone(), colour_sae(), "stage_1", "patch")
    pixels = torch.randn(2, 3, 56, 56)
    tokens = PlainBackbone().run_pixels(pixels)["stage_1"]
    torch.testing.assert_close(subject.read(pixels), tokens.amax(1))


def test_latents_without_photographs_cannot_be_scored(samples):
    subject = Subject(tiny_dinov2(), random_sae(), "block_02", "cls")
    with pytest.raises(InputError, match="two or more"):
        score_layer(subject, samples, {0: ["a"], 1: []}, CONFIG)
