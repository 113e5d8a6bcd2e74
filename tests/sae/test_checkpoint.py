"""A run that is killed goes on where it was and ends with the same bytes; bad checkpoints and stores are refused."""

from __future__ import annotations

import json
import random
import resource
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from hsae.activations.store import ActivationStore, shard_path
from hsae.errors import HsaeError, StoreError, TrainingError
from hsae.sae.checkpoint import Checkpoint, Progress, _step_of
from hsae.sae.config import SAEConfig, TrainConfig
from hsae.sae.layer import LayerTraining
from hsae.sae.train import train_bank
from hsae.sae.variants import VARIANTS
from tests.synthetic import planted, write_store

SAE = {"d_sae": 48, "k": 4, "dead_after": 300}
TRAIN = {
    "epochs": 4,
    "batch_size": 64,
    "buffer_tokens": 400,
    "checkpoint_every": 3,
    "log_every": 5,
    "resample_every": 7,
}
STATE = Path("process_0_of_1/state.safetensors")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ActivationStore:
    x, _ = planted(1000, 16, 24, 3)
    layers = {"block_01": x.unsqueeze(1), "block_02": 3 * x.flip(0).unsqueeze(1)}
    return write_store(tmp_path_factory.mktemp("store") / "acts", layers, shard_rows=128)


def weights(store: ActivationStore, checkpoint: Path | None = None, **changes: object) -> dict[str, torch.Tensor]:
    sae = SAEConfig(**{**SAE, **{k: v for k, v in changes.items() if k in SAEConfig.__dataclass_fields__}})
    train = TrainConfig(**{**TRAIN, **{k: v for k, v in changes.items() if k in TrainConfig.__dataclass_fields__}})
    bank = train_bank(store, sae, train, progress=False, checkpoint=checkpoint)
    return {f"{n}.{k}": v for n, m in bank.items() for k, v in m.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


class Killed(BaseException):
    """Stands for a kill that leaves no time for anything."""


OBJECTIVES = {name: {"activation": name} for name in VARIANTS} | {
    "nested k": {"ks": (1, 4), "k_weights": (3, 1)},
    "controlled": {"activation": "relu", "l0_target": 5.0, "l1": 0.1},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_run_stopped_anywhere_ends_with_the_same_weights(
    store: ActivationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    objective, advance = OBJECTIVES[name], LayerTraining.advance
    expected = weights(store, **objective)
    for after in (1, 8, 41):

        def stopping(self: LayerTraining, raw: torch.Tensor, rate: float, step: int, after: int = after) -> None:
            if step == after and self.name == "block_02":  # one layer is a step ahead of the other
                raise Killed
            advance(self, raw, rate, step)

        folder = tmp_path / f"stopped after {after}"
        with monkeypatch.context() as killing:
            killing.setattr(LayerTraining, "advance", stopping)
            with pytest.raises(Killed):
                weights(store, folder, **objective)
        assert same(weights(store, folder, **objective), expected)
        assert same(weights(store, folder, **objective), expected), "a finished run gives its result again"


def train_elsewhere(store: Path, checkpoint: Path) -> None:
    """What another process does: the weights lie beside the checkpoint in the end."""
    torch.set_num_threads(1)
    found = weights(ActivationStore(store), checkpoint, epochs=24, checkpoint_every=2)
    save_file(found, checkpoint.with_suffix(".safetensors"))


@pytest.mark.slow
def test_a_process_killed_at_random_moments_ends_with_the_same_weights(
    store: ActivationStore, tmp_path: Path, processes: ForkServerContext
) -> None:
    def start(folder: str) -> ForkServerProcess:
        process = processes.Process(target=train_elsewhere, args=(store.folder, tmp_path / folder))
        process.start()
        return process

    whole = start("whole")
    whole.join()
    assert whole.exitcode == 0
    chance, kills = random.Random(0), 0
    for _ in range(100):
        began = _mtime(tmp_path / "killed")
        process = start("killed")
        while process.is_alive() and _mtime(tmp_path / "killed") == began:
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.03))
        if kills < 6 and process.is_alive():
            process.kill()
            kills += 1
        process.join()
        if process.exitcode == 0:
            break
    assert kills >= 5
    assert same(load_file(tmp_path / "killed.safetensors"), load_file(tmp_path / "whole.safetensors"))
    assert [path.name for path in (tmp_path / "killed").rglob(".*")] == []


def _mtime(folder: Path) -> int:
    path = folder / STATE
    return path.stat().st_mtime_ns if path.exists() else 0


def test_a_checkpoint_of_another_run_is_refused(store: ActivationStore, tmp_path: Path) -> None:
    weights(store, tmp_path, epochs=1)
    with pytest.raises(TrainingError, match="another run: different train"):
        weights(store, tmp_path, epochs=1, lr=0.5)
    other = write_store(
        tmp_path / "other", {"block_01": torch.randn(1000, 1, 16), "block_02": torch.randn(1000, 1, 16)}
    )
    with pytest.raises(TrainingError, match="another run: different store"):
        weights(other, tmp_path, epochs=1)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"x" * 99])
def test_a_damaged_checkpoint_is_refused(store: ActivationStore, tmp_path: Path, damage: object) -> None:
    weights(store, tmp_path, epochs=1)
    path = tmp_path / STATE
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(TrainingError, match="damaged"):
        weights(store, tmp_path, epochs=1)


def test_a_bit_that_flipped_anywhere_in_a_checkpoint_is_found(store: ActivationStore, tmp_path: Path) -> None:
    expected = weights(store, tmp_path, epochs=1)
    path = tmp_path / STATE
    whole, refused = path.read_bytes(), 0
    for position in range(0, len(whole), len(whole) // 60):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0x10]) + whole[position + 1 :])
        try:
            assert same(weights(store, tmp_path, epochs=1), expected), position
        except TrainingError as error:
            refused += f"{path} " in str(error)
    assert refused >= 55


def test_not_a_number_leaves_the_earlier_checkpoint(
    store: ActivationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected, advance = weights(store), LayerTraining.advance

    def poisoned(self: LayerTraining, raw: torch.Tensor, rate: float, step: int) -> None:
        return advance(self, raw * torch.nan if step == 20 else raw, rate, step)

    monkeypatch.setattr(LayerTraining, "advance", poisoned)
    with pytest.raises(TrainingError, match="block_01 is not finite at step 20"):
        weights(store, tmp_path)
    monkeypatch.undo()
    assert same(weights(store, tmp_path), expected)


@pytest.fixture
def stopped(store: ActivationStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The checkpoint, after 6 steps, of a run that was killed."""
    advance = LayerTraining.advance

    def stopping(self: LayerTraining, raw: torch.Tensor, rate: float, step: int) -> None:
        if step == 8:
            raise Killed
        advance(self, raw, rate, step)

    monkeypatch.setattr(LayerTraining, "advance", stopping)
    with pytest.raises(Killed):
        weights(store, tmp_path)
    monkeypatch.undo()
    return tmp_path / STATE


@contextmanager
def small_disk() -> Iterator[None]:
    """Files can grow to 4 kB only, which the system itself enforces: also that which pytest's report may go to."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_leaves_the_earlier_checkpoint(store: ActivationStore, stopped: Path) -> None:
    before = stopped.read_bytes()
    with small_disk(), pytest.raises(TrainingError, match=r"could not be written: .*File too large"):
        weights(store, stopped.parents[1])
    assert stopped.read_bytes() == before
    assert [path.name for path in stopped.parent.iterdir()] == ["state.safetensors"]


def test_a_truncated_shard_leaves_the_earlier_checkpoint(store: ActivationStore, stopped: Path, tmp_path: Path) -> None:
    shard, before = shard_path(store.folder, 3), stopped.read_bytes()
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100])
    try:
        with pytest.raises(StoreError, match=r"shard_00003\.safetensors is damaged"):
            weights(ActivationStore(store.folder), tmp_path)
    finally:
        shard.write_bytes(whole)
    assert stopped.read_bytes() == before
    assert same(weights(store, tmp_path), weights(store))


def test_a_store_of_another_backbone_leaves_the_earlier_checkpoint(
    store: ActivationStore, stopped: Path, tmp_path: Path
) -> None:
    before = stopped.read_bytes()
    shutil.copytree(store.folder, tmp_path / "other")
    manifest = tmp_path / "other" / "manifest.json"
    manifest.write_text(manifest.read_text().replace("0" * 64, "1" * 64))
    with pytest.raises(TrainingError, match=r"another run: different store\.backbone\.weights_sha256"):
        weights(ActivationStore(tmp_path / "other"), tmp_path)
    assert stopped.read_bytes() == before


def test_the_summary_tells_the_runs_course(store: ActivationStore, tmp_path: Path) -> None:
    weights(store, tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    steps = [point["step"] for point in summary["history"]]
    assert steps == [*range(5, 60, 5), 60]
    assert summary["final"] == summary["history"][-1]["layers"]
    for name in store.layers:
        first, last = (summary["history"][i]["layers"][name] for i in (0, -1))
        assert last["fvu"] < first["fvu"] < 1
        assert last["l0"] == 4.0
    assert (tmp_path / "summary.png").read_bytes().startswith(b"\x89PNG")


def test_errors_are_the_users_own(store: ActivationStore, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HsaeError):
        weights(store, tmp_path / "file" / "checkpoint", epochs=1)


def test_processes_that_share_batches_go_on_from_the_newest_state_that_all_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of two was killed before it wrote the state that the other has: both take the one before."""
    ranks = [Checkpoint(tmp_path, {"k": 4}, rank, 2, shared=True) for rank in (0, 1)]
    for step in (10, 20):
        ranks[0].save([], Progress(step))
    ranks[1].save([], Progress(10))

    def steps_of_both(own: list[list[int]]) -> list[list[int]]:
        return [sorted(_step_of(path) for path in (r.path, r.before) if path.exists()) for r in ranks]

    monkeypatch.setattr("accelerate.utils.gather_object", steps_of_both)
    assert [rank.load([]).step for rank in ranks] == [10, 10]
    ranks[1].save([], Progress(20))
    assert [rank.load([]).step for rank in ranks] == [20, 20]
    shutil.rmtree(ranks[1].path.parent)  # a node that lost its disk
    assert [rank.load([]).step for rank in ranks] == [0, 0]


def test_a_process_alone_keeps_one_state(tmp_path: Path) -> None:
    alone = Checkpoint(tmp_path, {"k": 4})
    for step in (10, 20):
        alone.save([], Progress(step))
    assert alone.load([]).step == 20
    assert [path.name for path in alone.path.parent.iterdir()] == ["state.safetensors"]
