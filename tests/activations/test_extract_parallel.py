"""Two real processes (gloo) write one store: the same bytes as one process, of a listing and of a stream."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from accelerate import Accelerator

from hsae.activations.extract import extract_activations
from hsae.activations.store import ActivationStore
from hsae.data.samples import load_samples
from hsae.data.stream import stream_samples
from tests.data.conftest import png
from tests.forked import two_at_once
from tests.tiny_models import tiny_dinov2


def extract(arguments: list[str]) -> int:
    """What each of the processes does."""
    torch.set_num_threads(1)
    files, out = arguments
    accelerator = Accelerator(cpu=True)
    assert accelerator.num_processes == 2
    samples = {"listed": load_samples(files), "streamed": stream_samples(files, label_map="imagenet-1k")}
    options = {"batch_size": 2, "shard_rows": 3, "accelerator": accelerator, "progress": False}
    for name, images in samples.items():
        extract_activations(tiny_dinov2(), images, f"{out}/{name}", **options)
        print(name, "decoded broken", len(images.skipped))
    accelerator.end_training()
    return 0


@pytest.fixture
def one_thread() -> Iterator[None]:
    """As in the processes: more threads add up in another order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_two_processes_write_the_store_of_one(tmp_path: Path) -> None:
    cells = [{"bytes": png(9 * row)[: 40 if row == 4 else None], "path": None} for row in range(16)]
    (tmp_path / "images").mkdir()
    pq.write_table(pa.table({"image": cells, "label": ["n02123045"] * 16}), tmp_path / "images" / "train.parquet")
    said = two_at_once(tmp_path, extract, str(tmp_path / "images"), str(tmp_path))
    assert [re.findall(r"decoded broken (\d)", text) for text in said] == [["0", "0"], ["1", "1"]], (
        "its own shards only"
    )
    samples = load_samples(tmp_path / "images")
    options = {"batch_size": 2, "shard_rows": 3, "progress": False}
    alone = extract_activations(tiny_dinov2(), samples, tmp_path / "alone", **options)
    for path in sorted(alone.folder.iterdir()):
        assert (tmp_path / "listed" / path.name).read_bytes() == path.read_bytes()
    streamed = ActivationStore(tmp_path / "streamed")
    assert torch.equal(streamed.layer("block_03"), alone.layer("block_03"))
    assert torch.equal(streamed.rows, alone.rows)
    assert {streamed.classes[label] for label in streamed.labels.tolist()} == {"n02123045"}
