"""As many processes as were asked for train, and say so; a launch that hsae would not follow is refused."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import pytest
from safetensors import safe_open

from hsae.activations.store import ActivationStore
from hsae.artifacts.artifact import Artifact
from hsae.errors import InputError
from hsae.sae.config import TrainConfig
from hsae.tensor_files import read_stated
from tests.forked import free_port, start
from tests.tiny_models import tiny_model
from training import processes
from training.processes import describe, refuse_launch
from training.train import main

ROOT = Path(__file__).resolve().parents[2]
PLAIN = {"ACCELERATE_MIXED_PRECISION": "no", "ACCELERATE_DYNAMO_BACKEND": "NO"}
"""What `accelerate launch` sets by itself."""


class Several:
    """What `describe` reads of an Accelerator."""

    def __init__(self, num_processes: int, device: str = "cpu") -> None:
        self.num_processes = num_processes
        self.device = processes.torch.device(device)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        PLAIN,
        {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_PORT": "29500"},
        PLAIN | {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_PORT": "29500"},
        {"MASTER_PORT": "29500"},
        {"ACCELERATE_USE_FSDP": "false"},
    ],
)
def test_usual_launches_pass(variables: dict[str, str]) -> None:
    refuse_launch(variables)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        (PLAIN | {"MASTER_PORT": "29500", "MASTER_ADDR": "127.0.0.1"}, "torchrun --nproc_per_node 2"),
        (PLAIN | {"ACCELERATE_MIXED_PRECISION": "bf16"}, r"--mixed_precision bf16.*--bf16 true"),
        (PLAIN | {"ACCELERATE_DYNAMO_BACKEND": "INDUCTOR"}, "--dynamo_backend inductor"),
        (PLAIN | {"ACCELERATE_USE_FSDP": "true", "ACCELERATE_MIXED_PRECISION": "fp16"}, "fp16 and --use_fsdp true"),
        (PLAIN | {"ACCELERATE_USE_DEEPSPEED": "true"}, "--use_deepspeed"),
    ],
)
def test_a_launch_that_would_do_something_else_is_refused(variables: dict[str, str], said: str) -> None:
    with pytest.raises(InputError, match=said):
        refuse_launch(variables)


def test_more_processes_than_gpus_are_refused_except_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes.torch.cuda, "device_count", lambda: 1)
    refuse_launch({"LOCAL_WORLD_SIZE": "1"})
    with pytest.raises(InputError, match=r"2 processes on a machine with 1 GPU\. Expected at most one process a GPU"):
        refuse_launch({"LOCAL_WORLD_SIZE": "2"})
    refuse_launch({"LOCAL_WORLD_SIZE": "2", "ACCELERATE_USE_CPU": "true"})


def test_the_sentence_says_who_trains_what() -> None:
    rows, layers = TrainConfig(batch_size=64), TrainConfig(batch_size=64, parallel="layer")
    assert describe(Several(1), 12, rows) == "1 process on cpu trains 12 layers on batches of 64 tokens"
    assert "train 12 layers on batches of 256 tokens, 64 in each" in describe(Several(4, "cuda"), 12, rows)
    assert describe(Several(4), 12, layers) == "4 processes on cpu share 12 layers, each on batches of 64 tokens"
    assert describe(Several(4), 3, layers).endswith("; 1 have nothing to train")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("backbone")
    tiny_model(seed=1).save_pretrained(folder)
    values = {"backbone": folder, "classes": "n01503061,n07705931", "image_size": 28, "layers": "block_01,block_03"}
    values |= {"d_sae": 48, "k": 4, "epochs": 1, "batch_size": 32}
    return [part for name, value in values.items() for part in (f"--{name}", str(value))]


def started(log: Path, launcher: list[str], arguments: list[str]) -> subprocess.Popen[bytes]:
    """A launcher in a process of its own, whose words go to `log`."""
    command = [sys.executable, "-m", *launcher, "training/train.py", *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as out:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=out)


def nodes(logs: list[Path], runs: list[list[str]]) -> list[ForkServerProcess]:
    """What launchers on two machines start, without the launchers."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    where |= {"LOCAL_WORLD_SIZE": "1", "LOCAL_RANK": "0"}
    return [
        start(log, main, *run, **where, RANK=str(rank)) for rank, (log, run) in enumerate(zip(logs, runs, strict=True))
    ]


def launched_nodes(logs: list[Path], runs: list[list[str]]) -> list[int]:
    """The exit statuses of two launchers on loopback."""
    node = ["torch.distributed.run", "--nnodes", "2", "--nproc_per_node", "1"]
    node += ["--master_addr", "127.0.0.1", "--master_port", str(free_port())]
    launchers = [
        started(log, [*node, "--node_rank", str(rank)], run)
        for rank, (log, run) in enumerate(zip(logs, runs, strict=True))
    ]
    return [launcher.wait(1800) for launcher in launchers]


def ended(processes: list[ForkServerProcess]) -> list[int | None]:
    """Their exit statuses."""
    for process in processes:
        process.join(1800)
    return [process.exitcode for process in processes]


@pytest.mark.slow
@pytest.mark.parametrize("shared", [True, False])
def test_two_nodes_train_one_run_and_one_that_was_killed_comes_back(
    settings: list[str], tmp_path: Path, shared: bool
) -> None:
    """With one run folder or one each; the process of one is killed while it trains, so both end; then both start
    again, where they share a folder by launchers."""
    folders = tmp_path / "run", tmp_path / ("run" if shared else "second")
    flags = [*settings, "--epochs", "60", "--checkpoint_every", "1", "--own_disks", str(not shared)]
    runs = [[*flags, "--run_dir", str(folder)] for folder in folders]
    logs = [tmp_path / f"node_{rank}.txt" for rank in (0, 1)]

    def states(name: str) -> list[Path]:
        return list(folders[1].glob(f"training/*/process_1_of_2/{name}.safetensors"))

    training = nodes(logs, runs)
    while not states("state"):
        assert training[1].is_alive(), logs[1].read_text()[-3000:]
        time.sleep(0.02)
    training[1].kill()
    assert 0 not in ended(training)
    assert max(map(step_of, states("*"))) > 0  # a kill may come when the newest is not written yet
    assert (launched_nodes(logs, runs) if shared else ended(nodes(logs, runs))) == [0, 0], logs[0].read_text()[-6000:]
    said = [log.read_text() for log in logs]
    assert "2 processes on cpu train 2 layers on batches of 64 tokens, 32 in each" in said[0]
    assert [out.count("Done. Look at it with: python app.py --artifact") for out in said] == [1, 0]
    artifact = Artifact.load(folders[0] / "artifact")
    assert artifact.layers == ("block_01", "block_03")
    if not shared:
        assert not (folders[1] / "artifact").exists()
        parts = [ActivationStore(folder / "activations" / "train") for folder in folders]
        assert abs(len(parts[0]) - len(parts[1])) <= 1
        assert artifact.dataset["n_images"] == len(parts[0]) + len(parts[1])
        assert parts[0].manifest.dataset["images"] != parts[1].manifest.dataset["images"]


def step_of(state: Path) -> int:
    with safe_open(state, "pt") as file:
        return read_stated(file)["step"]


@pytest.mark.slow
def test_accelerate_that_starts_one_of_two_is_refused(settings: list[str], tmp_path: Path) -> None:
    launcher = ["accelerate.commands.launch", "--cpu", "--num_processes", "2"]
    log = tmp_path / "log.txt"
    assert started(log, launcher, [*settings, "--run_dir", str(tmp_path / "run")]).wait(1800) != 0
    assert "InputError: accelerate launch started one process, though several were asked for" in log.read_text()
    assert not (tmp_path / "run").exists()
