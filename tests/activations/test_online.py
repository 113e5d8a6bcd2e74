"""Online activations: what a store would hold, shuffled in bounded memory, without a disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hsae.activations.extract import extract_activations
from hsae.activations.loading import BATCHES_AHEAD
from hsae.activations.online import OnlineActivations, OnlineSampler
from hsae.data.samples import Samples, load_samples
from hsae.errors import InputError, StoreError
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.train import train_bank
from tests.tiny_models import WIDTH, tiny_dinov2

LAYERS = ("block_01", "block_03")


@pytest.fixture
def samples(tmp_path: Path) -> Samples:
    """12 images of noise in two classes; the fifth file is broken."""
    for number in range(12):
        folder = tmp_path / "images" / ("n02121808" if number < 6 else "n02084071")
        folder.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(number).integers(0, 256, (56, 56, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    (tmp_path / "images" / "n02121808" / "04.png").write_bytes(b"broken")
    return load_samples(tmp_path / "images")


def sampler(samples: Samples, **options: object) -> OnlineSampler:
    source = OnlineActivations(tiny_dinov2(), samples, LAYERS, images_per_run=2)
    return OnlineSampler(source, LAYERS, **{"batch_size": 16, "buffer_tokens": 64, **options})


def sorted_rows(x: torch.Tensor) -> torch.Tensor:
    return x[x[:, 0].argsort()]


def test_an_epoch_holds_the_tokens_that_a_store_would(samples: Samples, tmp_path: Path) -> None:
    store = extract_activations(tiny_dinov2(), samples, tmp_path / "store", LAYERS, token="patch", progress=False)
    source = sampler(samples, batch_size=16)
    batches = list(source.epoch(0))
    assert source.batches_per_epoch == len(batches) == 12, "12 images of 16 patches"
    for name in LAYERS:
        seen = torch.cat([batch[name] for batch in batches])
        distinct = seen[:, None].sub(store.layer(name).flatten(0, 1)[None]).abs().amax(-1)
        assert (distinct.min(1).values < 1e-4).all(), "every token is one of the store's"
        assert (distinct.min(0).values < 1e-4).all(), "and every token of a whole image appears"


def test_the_precision_of_a_store(samples: Samples, tmp_path: Path) -> None:
    options = {"token": "patch", "batch_size": 2, "precision": torch.bfloat16}
    store = extract_activations(tiny_dinov2(), samples, tmp_path / "store", LAYERS, progress=False, **options)
    for precision, low, high in ((torch.bfloat16, 0, 1e-5), (torch.float32, 1e-4, 1)):
        source = OnlineActivations(tiny_dinov2(), samples, LAYERS, images_per_run=2, precision=precision)
        difference = (source.tokens([0, 1], LAYERS)["block_03"] - store.layer("block_03")[:2]).abs().max()
        assert low <= difference < high


def test_the_order_depends_on_seed_and_epoch_and_can_be_resumed(samples: Samples) -> None:
    first, again = list(sampler(samples).epoch(1)), list(sampler(samples).epoch(1))
    rest = list(sampler(samples).epoch(1, start=7))
    none = list(sampler(samples).epoch(1, start=12))
    other = list(sampler(samples).epoch(2))
    assert all(torch.equal(a["block_03"], b["block_03"]) for a, b in zip(first, again, strict=True))
    assert all(torch.equal(a["block_03"], b["block_03"]) for a, b in zip(first[7:], rest, strict=True))
    assert none == []
    assert not torch.equal(first[0]["block_03"], other[0]["block_03"])


def test_a_resumed_epoch_runs_only_images_that_it_still_needs(
    samples: Samples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """6 runs of 32 tokens; 64 fill the pool, so after 8 of 12 batches four runs are used up."""
    source, run, tokens_of = sampler(samples), [], OnlineActivations.tokens_of
    monkeypatch.setattr(OnlineActivations, "tokens_of", lambda *args: run.append(1) or tokens_of(*args))
    list(source.epoch(1, start=9))
    assert len(run) == 2
    run.clear()
    list(source.epoch(1))
    assert len(run) == 6


def test_memory_is_a_pool_of_the_stated_size(samples: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    source, run, decoded = sampler(samples), [], []
    pixels, tokens_of = OnlineActivations.pixels, OnlineActivations.tokens_of
    monkeypatch.setattr(OnlineActivations, "pixels", lambda *args: decoded.append(1) or pixels(*args))
    monkeypatch.setattr(OnlineActivations, "tokens_of", lambda *args: run.append(1) or tokens_of(*args))
    next(source.epoch(0))
    assert len(run) == 2, "64 tokens are two runs of two images"
    assert len(decoded) <= len(run) + BATCHES_AHEAD < 6 == len(source.runs)


def test_processes_run_different_images(samples: Samples) -> None:
    shares = [sampler(samples, batch_size=32, share=(rank, 2)) for rank in (0, 1)]
    images = [{image for run in share.runs for image in run} for share in shares]
    assert images[0] | images[1] == set(range(12))
    assert not images[0] & images[1]
    assert shares[0].batch_size == 16
    assert shares[0].batches_per_epoch == shares[1].batches_per_epoch == 6


def test_a_bank_is_trained_without_a_store(samples: Samples) -> None:
    source = OnlineActivations(tiny_dinov2(), samples, LAYERS, images_per_run=4)
    bank = train_bank(source, SAEConfig(d_sae=64, k=8), TrainConfig(epochs=30, batch_size=32, lr=3e-3), progress=False)
    assert tuple(bank) == LAYERS
    x = source.tokens([0, 1, 2], LAYERS)["block_03"].flatten(0, 1)
    assert x.shape == (48, WIDTH)
    x_hat, _ = bank["block_03"](x)
    assert (x - x_hat).pow(2).sum() / (x - x.mean(0)).pow(2).sum() < 0.3


def test_more_tokens_than_there_are_and_only_broken_images_are_refused(samples: Samples, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch of 1000"):
        sampler(samples, batch_size=1000)
    source = sampler(samples)
    for file in (tmp_path / "images").rglob("*.png"):
        file.write_bytes(b"broken")
    with pytest.raises(StoreError, match=r"No image of .* is whole"):
        list(source.epoch(0))
