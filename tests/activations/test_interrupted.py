"""Extraction survives kill -9 and a full disk: whole shards stay, and the end result has the same bytes."""

import os
import random
import resource
import signal
import sys
import time

import pytest
import torch

from hsae import tensor_files
from hsae.activations.extract import extract_activations
from hsae.activations.store import ActivationStore, shard_path
from hsae.errors import StoreError
from tests.activations.noise_images import noise_samples
from tests.tiny_models import tiny_dinov2

N_ROWS, SHARD_ROWS = 60, 3
N_SHARDS = N_ROWS // SHARD_ROWS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 and file size limits need POSIX")


def extract(folder) -> ActivationStore:
    torch.set_num_threads(1)  # the order of sums, and so the last bit, may depend on it
    samples = noise_samples(N_ROWS, broken=(4, 31))
    return extract_activations(tiny_dinov2(), samples, folder, batch_size=2, shard_rows=SHARD_ROWS, progress=False)


def die_while_writing(folder, fatal_shard: int) -> None:
    """Write half of a shard's bytes under the temporary name, then kill this very process."""
    whole, written = tensor_files.save_file, []

    def save_file(tensors, path, metadata):
        whole(tensors, path, metadata)
        written.append(path)
        if len(written) == fatal_shard:
            os.truncate(path, path.stat().st_size // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    tensor_files.save_file = save_file
    extract(folder)


def extract_on_a_small_disk(folder, report) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
    try:
        extract(folder)
    except StoreError as error:
        report.put(str(error))


@pytest.fixture(scope="module", autouse=True)
def _number_of_threads_as_before():
    number = torch.get_num_threads()
    yield
    torch.set_num_threads(number)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> dict[str, bytes]:
    return content(extract(tmp_path_factory.mktemp("uninterrupted")).folder)


def content(folder) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if not path.name.startswith(".")}


def n_whole(folder) -> int:
    return sum(shard_path(folder, number).is_file() for number in range(N_SHARDS))


def kill_soon(context, folder, delay: float) -> int:
    """Start extracting, kill -9 some time after the next whole shard; the exit code."""
    child = context.Process(target=extract, args=(folder,))
    before = n_whole(folder)
    child.start()
    while child.is_alive() and n_whole(folder) == before:
        time.sleep(0.001)
    time.sleep(delay)
    child.kill()
    child.join()
    return child.exitcode


@pytest.mark.slow
def test_killed_at_random_points_the_bytes_are_the_same(processes, uninterrupted, tmp_path):
    chance, kills = random.Random(0), []
    while not kills or kills[-1] == -signal.SIGKILL:
        kills.append(kill_soon(processes, tmp_path, chance.uniform(0, 0.02)))
        assert n_whole(tmp_path) >= len(kills) or kills[-1] == 0
        whole = content(tmp_path)
        assert whole == {name: uninterrupted[name] for name in whole}
    assert len(kills) > 3
    assert content(tmp_path) == uninterrupted


@pytest.mark.slow
@pytest.mark.parametrize("fatal_shard", [1, 2, N_SHARDS])
def test_killed_in_the_middle_of_a_shard(processes, uninterrupted, tmp_path, fatal_shard):
    child = processes.Process(target=die_while_writing, args=(tmp_path, fatal_shard))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL
    assert len(list(tmp_path.glob(".shard_*.tmp"))) == 1
    assert n_whole(tmp_path) == fatal_shard - 1
    with pytest.raises(StoreError, match=f"lacks {N_SHARDS - fatal_shard + 1} of {N_SHARDS} shards"):
        ActivationStore(tmp_path)
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("shard_*")}
    store = extract(tmp_path)
    assert content(tmp_path) == uninterrupted
    assert {path: path.stat().st_mtime_ns for path in times} == times
    assert not list(tmp_path.glob(".*")), "what the killed process left is swept"
    assert len(store) == N_ROWS - 2


def test_a_shard_that_was_cut_off_is_named_and_made_again(uninterrupted, tmp_path, caplog):
    extract(tmp_path)
    for number, length in ((4, 0), (9, 700)):
        os.truncate(shard_path(tmp_path, number), length)
    extract(tmp_path)
    names = [message.split("/")[-1].split(" ")[0] for message in caplog.messages if "shard_" in message]
    assert names == ["shard_00004.safetensors", "shard_00009.safetensors"]
    assert content(tmp_path) == uninterrupted


def test_killed_before_the_manifest_was_whole(uninterrupted, tmp_path):
    (tmp_path / ".manifest.json.123-123.tmp").write_text('{"schema"')
    extract(tmp_path)
    assert content(tmp_path) == uninterrupted


@pytest.mark.slow
def test_a_full_disk_keeps_the_whole_shards(processes, uninterrupted, tmp_path):
    extract(tmp_path)
    shard_path(tmp_path, 7).unlink()
    report = processes.SimpleQueue()
    child = processes.Process(target=extract_on_a_small_disk, args=(tmp_path, report))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert not report.empty()
    assert "shard_00007.safetensors could not be written" in (said := report.get())
    assert "goes on where it stopped" in said
    kept = content(tmp_path)
    assert kept == {name: data for name, data in uninterrupted.items() if name != "shard_00007.safetensors"}
    assert not list(tmp_path.glob(".*"))
    extract(tmp_path)
    assert content(tmp_path) == uninterrupted
