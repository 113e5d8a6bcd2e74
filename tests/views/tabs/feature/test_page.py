"""The page of a feature: its pictures and where it fires, its classes, its neighbours, search, and the list."""

from __future__ import annotations

import base64
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hsae.artifacts.documents.examples import write_examples
from hsae.artifacts.documents.profiles import LayerFiring, write_profiles
from hsae.errors import InputError
from hsae.measures.weaker_images import WeakerImages
from hsae.views.page.desk import Desk
from hsae.views.page.kept import read_kept, toggled
from hsae.views.page.models import Models
from hsae.views.page.photos import Photos
from hsae.views.page.state import Choices
from hsae.views.tabs.feature import card, feature, logits, neighbours, own_list, photographs, search, walk
from tests.views.conftest import HOSTILE, LAYERS, N, artifact_with, latents

LAYER = "block_02"
DOG, OTHER = "animals/dog", "animals/elephant"


def opened(artifact, **changes) -> Desk:
    desk = Desk(Models([artifact_with(artifact, **changes)]), Photos())
    next(iter(desk.models.values())).session(wait=True)
    return desk


def firing(**fields) -> dict:
    none = [WeakerImages()] * N
    empty = {"profiles": [None] * N, "together": [()] * N, "weaker": none, "weaker_photos": none}
    return write_profiles({LAYER: LayerFiring(**(empty | fields))}, [DOG, OTHER])


def first(desk: Desk, **fields):
    return replace(Choices(desk.models, desk.photos).first(), layer=LAYER, **fields)


def test_the_sentence_says_what_the_counts_are():
    """100 of the node, 900 others; said of 40 and of 20."""
    row = pd.Series({"node_precision": 40 / 60, "node_recall": 0.4, "node_lift": (40 / 60) / 0.1})
    assert card.false_share(row) == pytest.approx(20 / 900)
    named = row.reindex([*row.index, "dead", "frequency"]).to_dict() | {"dead": False, "frequency": 0.06}
    told = card.evidence_html(pd.Series(named | {"named": 1, "node": "n02084071"}))
    assert "of 40 % of those that show one and of 2.2 % of the others" in told
    assert "true in <b>67 %</b> (6.67 times chance)" in told
    assert card.false_share(pd.Series(dict.fromkeys(row.index, np.nan))) is None
    assert card.false_share(row * 0) is None


def test_pictures_by_kind_with_their_activations(artifact):
    weaker = [WeakerImages(middle=((1, 50),), low=((0, 3),))] * N
    desk = opened(artifact, extras={"profiles": firing(weaker_photos=weaker)})
    found = photographs.shots(desk.models["unsaved"], LAYER, 5)
    assert {kind: [(s.key, s.activation) for s in some] for kind, some in found.items()} == {
        "top": [(DOG, 0.5)], "middle": [(OTHER, 0.25)], "low": [(DOG, 0.015)],
    }  # fmt: skip
    html = photographs.shots_html(desk, first(desk), 5)
    assert html.count("hsae-still") == 3
    assert html.index("Where it fires most") < html.index("Around the middle") < html.index("Its weakest firings")


def test_its_own_data_comes_before_the_packaged_photographs_and_with_its_rights(artifact):
    examples = write_examples([(1, Image.new("RGB", (80, 40), "red"))], "<i>CC</i>", "me")
    desk = opened(artifact, extras={"examples": examples, "profiles": firing()})
    html = photographs.shots_html(desk, first(desk), 5)
    assert "image 1 of the data set" in html
    assert DOG not in html
    assert "me, &lt;i&gt;CC" in html
    assert "<script" not in html


def test_every_picture_has_a_mask_of_its_own_and_so_has_the_visitors(desk):
    selection = first(desk)
    active = int(desk.session(selection).active_latents(LAYER, top=1)["latent"].iloc[0])
    payload = photographs.masks(desk, selection, active)["masks"]
    asked = set(re.findall(r"var\((--shot-\w+)\)", photographs.shots_html(desk, selection, active)))
    mine = set(re.findall(r"var\((--shot-\w+)\)", photographs.mine_html(desk, selection, active)))
    assert set(payload) == asked | mine
    assert asked
    assert mine
    assert not asked & mine
    silent = next(at for at in range(N) if not photographs.value_here(desk, selection, at))
    assert "does not fire" in photographs.mine_html(desk, selection, silent)


def test_classes_are_raised_by_what_the_probe_gets(desk):
    model = desk.models["unsaved"]
    probe, sae = model.artifact.probe(LAYER), model.artifact.sae(LAYER)
    x = torch.randn(3, sae.W_dec.shape[1])
    change = probe.logits(x + sae.W_dec[4]) - probe.logits(x)
    assert torch.allclose(logits.class_logits(model, LAYER, 4), (change - change.mean(1, keepdim=True))[0], atol=1e-5)
    html = logits.logits_html(model, LAYER, 4, 1.0)
    assert html.index("raises") < html.index("lowers")
    assert logits.logits_html(model, LAYER, 4, float("nan")) == ""


def test_neighbours_by_direction_and_by_co_firing(artifact):
    desk = opened(artifact, extras={"profiles": firing(together=[((7, 40),)] * N)})
    model = desk.models["unsaved"]
    rows = model.artifact.sae(LAYER).W_dec.detach().numpy()
    cosines = rows @ rows[3] / np.linalg.norm(rows, axis=1) / np.linalg.norm(rows[3])
    cosines[[0, 3]] = -2  # dead, itself
    assert [latent for latent, _ in neighbours.nearest(model, LAYER, 3)] == np.argsort(-cosines)[:6].tolist()
    html = neighbours.neighbours_html(model, LAYER, 3)
    assert "(7) · 40 %" in html


def test_previous_and_next_go_round_among_the_living(desk):
    model = desk.models["unsaved"]
    assert walk.beside(model, LAYER, 1) == (N - 1, 2)  # 0 is dead
    assert walk.beside(model, LAYER, N - 1) == (N - 2, 1)
    assert walk.beside(model, LAYER, 0) == (N - 1, 1)


@pytest.mark.parametrize("text", ["cats", "tabby", "n02121808", "domestic CAT"])
def test_search_finds_what_is_named_so_in_every_layer(artifact, text):
    named = latents().assign(node=None, named=0)
    named.loc[5, ["node", "named", "node_precision", "node_lift"]] = ["n02123045", 1, 0.75, 3.0]
    named.loc[6, ["node", "named", "node_precision", "node_lift"]] = ["n02121808", 1, 0.5, 1.5]
    model = opened(artifact, latents=dict.fromkeys(LAYERS, named)).models["unsaved"]
    html = search.results_html(model, text)
    for layer in LAYERS:
        assert f'data-value="{layer}:{5 if text == "tabby" else 6}"' in html


def test_search_by_number_by_layer_and_number_and_for_nothing(desk):
    model = desk.models["unsaved"]
    assert re.findall(r'data-value="([^"]+)"', search.results_html(model, "12")) == [f"{at}:12" for at in LAYERS]
    assert re.findall(r'data-value="([^"]+)"', search.results_html(model, "2:12")) == ["block_02:12"]
    assert search.results_html(model, "  ") == ""
    for hostile in (HOSTILE, "zzz", "9" * 30, "\x00", "(" * 200, "%s{0}"):
        assert "<script" not in search.results_html(model, hostile)
    assert "No feature answers" in search.results_html(model, "zzz")


def test_a_word_beyond_the_classes_means_what_stands_above_it(desk):
    model = desk.models["unsaved"]
    assert search.matching_nodes(model, "limousine")[0] in model.taxonomy.nodes
    assert search.matching_nodes(model, "zzz") == []


def test_the_list_is_kept_in_order_each_once_and_bounded():
    sizes = dict.fromkeys(LAYERS, 100)
    text = ""
    for feature_ in ("block_02:3", "block_01:7", "block_02:3", "block_03:0"):
        text = toggled(text, feature_, sizes)
    assert text == "block_01:7,block_03:0"
    for bad in ("block_09:1", "block_02:100", "block_02:-1", "block_02", "x", "block_02:1,block_02:1", ","):
        with pytest.raises(InputError):
            read_kept(bad, sizes)
    with pytest.raises(InputError, match="at most"):
        read_kept(",".join(f"block_01:{at}" for at in range(61)), sizes)


def test_the_list_is_saved_as_it_is_and_no_cell_is_a_formula(artifact):
    table = latents()
    table.loc[1, "label"] = "=HYPERLINK(1)"
    model = opened(artifact, latents=dict.fromkeys(LAYERS, table)).models["unsaved"]
    html = own_list.list_html(model, "block_02:1,block_01:3")
    csv, json = (base64.b64decode(data).decode() for data in re.findall(r"base64,([^\"]+)", html))
    assert [line.split(",")[:2] for line in csv.splitlines()[1:]] == [["block_02", "1"], ["block_01", "3"]]
    assert "'=HYPERLINK" in csv
    assert '"latent": 3' in json
    assert own_list.list_html(model, "") == ""


def test_the_page_of_every_feature_is_drawn(desk):
    for latent in (0, 1, 3, 7):
        head, shown, rest = feature._page(desk, first(desk, latent=latent))
        assert f"feature no. {latent}" in head
        assert "hsae-still" in shown
        assert "All its numbers" in rest
