"""Two real processes (gloo) write one store: the same bytes as one process, of a listing and of a stream."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from hsae.activations.extract import extract_activations
from hsae.activations.store import ActivationStore
from hsae.data.samples import load_samples
from tests.data.conftest import png
from tests.tiny_models import tiny_dinov2

RUN = """
import sys
import torch
from accelerate import Accelerator
from hsae.activations.extract import extract_activations
from hsae.data.samples import load_samples
from hsae.data.stream import stream_samples
from tests.tiny_models import tiny_dinov2
torch.set_num_threads(1)
files, out = sys.argv[1:]
accelerator = Accelerator(cpu=True)
assert accelerator.num_processes == 2
samples = {"listed": load_samples(files), "streamed": stream_samples(files, label_map="imagenet-1k")}
for name, images in samples.items():
    extract_activations(tiny_dinov2(), images, f"{out}/{name}", batch_size=2, shard_rows=3,
                        accelerator=accelerator, progress=False)
    print(name, "process", accelerator.process_index, "decoded broken", len(images.skipped))
accelerator.end_training()
"""


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
    (tmp_path / "run.py").write_text(RUN)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [str(tmp_path / "run.py"), str(tmp_path / "images"), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2]), "OMP_NUM_THREADS": "1"}
    found = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800)
    assert found.returncode == 0, found.stderr[-3000:]
    assert sorted(line.split("process ")[1] for line in found.stdout.splitlines()) == [
        "0 decoded broken 0", "0 decoded broken 0", "1 decoded broken 1", "1 decoded broken 1",
    ], "each process decodes its own shards only"  # fmt: skip
    samples = load_samples(tmp_path / "images")
    options = {"batch_size": 2, "shard_rows": 3, "progress": False}
    alone = extract_activations(tiny_dinov2(), samples, tmp_path / "alone", **options)
    for path in sorted(alone.folder.iterdir()):
        assert (tmp_path / "listed" / path.name).read_bytes() == path.read_bytes()
    streamed = ActivationStore(tmp_path / "streamed")
    assert torch.equal(streamed.layer("block_03"), alone.layer("block_03"))
    assert torch.equal(streamed.rows, alone.rows)
    assert {streamed.classes[label] for label in streamed.labels.tolist()} == {"n02123045"}
