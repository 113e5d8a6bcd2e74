"""maps.json: where latents of patches fire is read as it was written, and strangers' documents do no harm."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
import torch

from hsae.artifacts.documents.maps import read_map, write_maps
from hsae.artifacts.strangers_json import check_plain
from hsae.report.firing_maps import MAPS, FiringMapsFitter
from tests.tiny_models import random_sae

KEYS = [f"photos/{n}" for n in range(6)]
N = 24


@pytest.fixture(scope="module")
def sae():
    return random_sae(activation="topk", k=5)


@pytest.fixture(scope="module")
def photographs(sae) -> torch.Tensor:
    return torch.randn(len(KEYS), 12, sae.d_in, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def strongest() -> list[list[str]]:
    """Of a latent five photographs, of another one that nobody has, of the others three."""
    random = np.random.default_rng(0)
    return [KEYS[:5], ["photos/gone"], *([KEYS[at] for at in random.permutation(6)[:3]] for _ in range(N - 2))]


@pytest.fixture(scope="module")
def document(sae, photographs, strongest):
    fitter = FiringMapsFitter(sae, strongest, (3, 4))
    for key, patches in zip(KEYS, photographs, strict=True):
        fitter.update(key, patches)
    return json.loads(json.dumps(write_maps({"block_01": fitter.compute()})))


def test_what_is_read_is_where_the_latent_fires(document, sae, photographs, strongest):
    check_plain(document, "maps.json")
    fired = 0
    for latent in range(N):
        for key in strongest[latent][:MAPS]:
            if key not in KEYS:
                continue
            values = sae.encode(photographs[KEYS.index(key)])[:, latent].detach().numpy().reshape(3, 4)
            found = read_map(document, "block_01", latent, key)
            np.testing.assert_allclose(found, values / (values.max() or 1), atol=0.5 / 255 + 1e-6)
            fired += values.max() > 0
    assert fired > N


def test_only_the_strongest_photographs_are_kept(document):
    assert read_map(document, "block_01", 0, KEYS[MAPS - 1]) is not None
    assert read_map(document, "block_01", 0, KEYS[MAPS]) is None
    assert read_map(document, "block_01", 1, "photos/gone") is None


def b64(*raw: int) -> str:
    return base64.b64encode(bytes(raw)).decode()


@pytest.mark.parametrize(
    "stranger",
    [
        None,
        {},
        {"block_01": []},
        {"block_01": {"grid": [2, 2]}},
        {"block_01": {"grid": [2, 2], "latents": {}}},
        {"block_01": {"grid": [2, 2], "latents": [[]]}},
        {"block_01": {"grid": [2, 2], "latents": [{"a": 3}]}},
        {"block_01": {"grid": [2, 2], "latents": [{"a": "no base64"}]}},
        {"block_01": {"grid": [2, 2], "latents": [{"a": b64(0, 0)}]}},
        {"block_01": {"grid": [2, 2], "latents": [{"a": b64(4, 0, 255)}]}},
        {"block_01": {"grid": [2, True], "latents": [{"a": b64(0, 0, 255)}]}},
        {"block_01": {"grid": [10**9, 10**9], "latents": [{"a": b64(0, 0, 255)}]}},
        {"block_01": {"grid": [2], "latents": [{"a": b64(0, 0, 255)}]}},
        {"block_01": {"grid": "22", "latents": [{"a": b64(0, 0, 255)}]}},
    ],
)
def test_what_does_not_fit_is_not_known(stranger):
    assert read_map(stranger, "block_01", 0, "a") is None


def test_control_what_fits_is_known():
    found = read_map({"block_01": {"grid": [2, 2], "latents": [{"a": b64(3, 0, 255)}]}}, "block_01", 0, "a")
    np.testing.assert_array_equal(found, [[0, 0], [0, 1]])
