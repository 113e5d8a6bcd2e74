"""Streams become the stores, and the batches, that a listing of the same files becomes."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from hsae.activations import extract as extract_module
from hsae.activations.extract import extract_activations
from hsae.activations.online import OnlineActivations, OnlineSampler
from hsae.activations.store import ActivationStore, shard_path
from hsae.data.samples import load_samples
from hsae.data.stream import SampleStream, stream_samples
from hsae.errors import InputError, StoreError
from tests.data.conftest import CAT, DOG
from tests.tiny_models import SIDE, tiny_dinov2

MAP = {CAT: CAT, DOG: DOG}
LAYERS = ("block_01", "block_03")


@pytest.fixture
def files(tmp_path) -> Path:
    """20 images of noise in two files; row 7 is broken."""
    folder = tmp_path / "images"
    folder.mkdir()
    for part in range(2):
        cells = []
        for row in range(10 * part, 10 * part + 10):
            stream = BytesIO()
            pixels = np.random.default_rng(row).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(stream, "PNG")
            cells.append({"bytes": stream.getvalue()[: 60 if row == 7 else None], "path": None})
        pq.write_table(pa.table({"image": cells, "label": [CAT, DOG] * 5}), folder / f"train-{part}.parquet")
    return folder


def stream(files: Path, **options) -> SampleStream:
    return stream_samples(files, label_map=MAP, **options)


def extract(folder: Path, samples, **options) -> ActivationStore:
    return extract_activations(tiny_dinov2(), samples, folder, batch_size=4, progress=False, **options)


@pytest.mark.parametrize("shard_rows", [3, 5, 10, 64])
def test_a_streamed_store_equals_a_listed_one(files, tmp_path, shard_rows):
    streamed = extract(tmp_path / "a", stream(files), shard_rows=shard_rows)
    listed = extract(tmp_path / "b", load_samples(files), shard_rows=shard_rows)
    assert streamed.manifest.n_rows == 20
    assert streamed.n_shards == listed.n_shards == len(list((tmp_path / "a").glob("shard_*")))
    assert torch.equal(streamed.rows, listed.rows)
    assert torch.equal(streamed.labels, listed.labels)
    assert torch.equal(streamed.layer("block_03"), listed.layer("block_03"))


def test_an_interrupted_stream_goes_on_with_the_same_bytes(files, tmp_path, monkeypatch):
    whole = extract(tmp_path / "whole", stream(files), shard_rows=3)
    write, written = extract_module.write_shard, []

    def dies_at_the_fourth(path, *content):
        if len(written) == 3:
            raise KeyboardInterrupt
        written.append(path)
        write(path, *content)

    monkeypatch.setattr(extract_module, "write_shard", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        extract(tmp_path / "part", stream(files), shard_rows=3)
    with pytest.raises(StoreError, match="ends before its stream"):
        ActivationStore(tmp_path / "part")
    monkeypatch.setattr(extract_module, "write_shard", write)
    extract(tmp_path / "part", stream(files), shard_rows=3)
    assert content(tmp_path / "part") == content(whole.folder)


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_a_finished_streamed_store_is_left_as_it_is(files, tmp_path):
    extract(tmp_path / "a", stream(files), shard_rows=6)
    before = content(tmp_path / "a")
    unread = stream(files)
    extract(tmp_path / "a", unread, shard_rows=6)
    assert content(tmp_path / "a") == before
    assert unread.n_rows is None, "nothing was read again"
    with pytest.raises(StoreError, match="different dataset"):
        extract(tmp_path / "a", stream(files, limit=9), shard_rows=6)
    shard_path(tmp_path / "a", 2).unlink()
    extract(tmp_path / "a", stream(files), shard_rows=6)
    assert content(tmp_path / "a") == before


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing_and_count_broken_rows(files, tmp_path, workers):
    alone = extract(tmp_path / "alone", stream(files), shard_rows=5)
    for name, samples in {"stream": stream(files), "listing": load_samples(files)}.items():
        store = extract(tmp_path / name, samples, shard_rows=5, workers=workers)
        assert torch.equal(store.layer("block_02"), alone.layer("block_02"))
        assert [reason.split(" of")[0] for reason in samples.skipped] == ["row 7"]
    with pytest.raises(InputError, match="-1 workers"):
        extract(tmp_path / "negative", stream(files), workers=-1)


def test_progress_counts_images_where_the_end_is_unknown(files, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(SampleStream, "expected", None)
    extract_activations(tiny_dinov2(), stream(files), tmp_path / "a", batch_size=4, shard_rows=8)
    last = capfd.readouterr().err.strip().split("\r")[-1]
    assert "19image" in last.replace(" ", "")
    assert "image/s" in last


def distances(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    return torch.cdist(a, b, compute_mode="donot_use_mm_for_euclid_dist")


def test_an_epoch_of_a_stream_holds_the_tokens_of_its_store(files, tmp_path):
    store = extract(tmp_path / "store", load_samples(files), layers=LAYERS, token="patch")
    source = OnlineActivations(tiny_dinov2(), stream(files, limit=20), LAYERS, images_per_run=3)
    sampler = OnlineSampler(source, LAYERS, batch_size=16, buffer_tokens=64)
    assert sampler.batches_per_epoch == 20
    batches = list(sampler.epoch(0))
    tokens = torch.cat([batch["block_03"] for batch in batches])
    distance = distances(tokens, store.layer("block_03").flatten(0, 1))
    assert (distance.min(1).values < 1e-3).all()
    assert (distance.min(0).values < 1e-3).all()
    assert not torch.equal(batches[0]["block_03"], store.layer("block_03").flatten(0, 1)[:16]), "mixed in the pool"
    again = list(sampler.epoch(0, start=15))
    assert all(torch.equal(a["block_03"], b["block_03"]) for a, b in zip(batches[15:], again, strict=True))


def test_processes_train_on_their_own_part_of_a_stream(files):
    source = OnlineActivations(tiny_dinov2(), stream(files, limit=20), LAYERS, images_per_run=3)
    samplers = [OnlineSampler(source, LAYERS, batch_size=32, buffer_tokens=64, share=(rank, 2)) for rank in (0, 1)]
    assert [sampler.batches_per_epoch for sampler in samplers] == [10, 10]
    parts = [torch.cat([batch["block_01"] for batch in sampler.epoch(0)]) for sampler in samplers]
    assert distances(*parts).min() > 1e-3


def test_a_stream_without_end_cannot_be_shuffled_into_epochs(files, monkeypatch):
    endless = stream(files)
    monkeypatch.setattr(SampleStream, "expected", None)
    with pytest.raises(InputError, match="nobody knows how many"):
        OnlineActivations(tiny_dinov2(), endless, LAYERS)
