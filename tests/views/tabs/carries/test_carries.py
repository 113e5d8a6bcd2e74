"""The bars of what carries a concept add up to its log-odds."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from hsae.session import Carried
from hsae.steering.contributions import Contributions
from hsae.views.page.models import Models
from hsae.views.tabs.carries.carries import Known, Where, _carries, carries_html
from hsae.views.tabs.feature.words import words
from tests.views.conftest import HOSTILE, LAYERS, PROFILES, artifact_with, latents, probe

CARNIVORE = "n02075296"


def carried(contributions: list[float], error: float = -0.5, base: float = -3.0) -> Carried:
    rows = latents().iloc[[1, 2, 3] * 5].head(len(contributions)).reset_index(drop=True)
    table = rows.assign(latent=range(len(rows)), contribution=contributions, said=False)
    shares = np.zeros(24)
    shares[: len(contributions)] = contributions
    return Carried(table, Contributions(shares, error, base, sum(contributions) + error + base))


def amounts(html: str) -> list[float]:
    return [float(text.replace("−", "-")) for text in re.findall(r"</span> ([+−][\d.]+)", html)]


def test_the_bars_add_up_to_the_total():
    html = carries_html(carried([2.0, -1.0, 0.5] * 4), Where("dog", "block_03", "block_03"), {})
    assert len(amounts(html)) == 10 + 3
    assert sum(amounts(html)) == pytest.approx(2.5)
    assert "<b>+2.5</b>" in html
    assert "not explained" not in html


def test_before_the_last_layer_what_is_left_out_has_a_bar():
    parts = carried([2.0, -1.0])
    rest = Carried(parts.latents, Contributions(parts.parts.latents, -0.5, -3.0, -1.25))
    html = carries_html(rest, Where("dog", "block_02", "block_03"), {})
    assert "not explained" in html
    assert sum(amounts(html)) == pytest.approx(-1.25)


def test_words_from_outside_stay_words():
    assert "<script>" not in carries_html(carried([1.0, 1.0]), Where(HOSTILE, "block_03", "block_03"), {})


def test_a_feature_is_told_by_what_it_pushes_towards_and_fires_on(artifact):
    direction = artifact.sae(LAYERS[1]).W_dec[2].detach()
    cats, plain = torch.tensor([0.0, 1.0, 1.0, 0.0]), probe(0)
    others = 20 * (
        plain.W - direction[:, None] * (direction @ plain.W)
    )  # orthogonal to it, and what chance sees most of
    probes = dict.fromkeys(LAYERS, plain) | {LAYERS[1]: replace(plain, W=direction[:, None] * cats + others)}
    (model,) = Models([artifact_with(artifact, extras={"profiles": PROFILES}, probes=probes)]).values()
    told = words(model, LAYERS[1], 2)
    assert told == "pushes towards “domestic cat”; fires on 60 % of “Chihuahua” images"
    html = carries_html(carried([1.0]), Where("dog", "block_03", "block_03"), {0: Known(HOSTILE, "<i>photos</i>")})
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert "<i>photos</i>" in html


def test_nothing_active_is_a_table_of_the_rest():
    empty = Carried(carried([1.0]).latents.head(0), Contributions(np.zeros(24), 0.0, 0.0, 0.0))
    assert len(amounts(carries_html(empty, Where("dog", "block_03", "block_03"), {}))) == 3


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_of_a_photograph_answers(desk, choices, layer):
    selection = choices.choose(choices.choose(choices.first(), "layer", layer), "concept", CARNIVORE)
    html = _carries(desk, selection)
    total = float(re.search(r"<b>([+−][\d.]+)</b>", html)[1].replace("−", "-"))
    rounding = 0.005 * sum(map(abs, amounts(html)))  # three digits each
    assert sum(amounts(html)) == pytest.approx(total, abs=rounding + 0.01)
    assert isinstance(desk.session(selection).contributions(layer, CARNIVORE).latents, pd.DataFrame)
