"""A folder is one run's at a time; a kill, Ctrl+C and a full disk leave it so that the next run goes on."""

from __future__ import annotations

import copy
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from accelerate import Accelerator

from hsae.artifacts.artifact import Artifact
from hsae.errors import HsaeError, InputError, WriteError
from hsae.exit_status import exit_status
from tests.tiny_models import tiny_model
from training.disks import shared_disk
from training.run_folder import LOCK, run_folder
from training.train import main

ROOT = Path(__file__).resolve().parents[2]


KILLED_INSIDE = """
import os, signal, sys
from pathlib import Path
from accelerate import Accelerator
from training.disks import shared_disk
from training.run_folder import run_folder
with run_folder(Path(sys.argv[1]), shared_disk(Accelerator())):
    Path(sys.argv[1], "x").touch()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_two_runs_do_not_share_a_folder_but_follow_each_other(tmp_path: Path) -> None:
    def second(folder: Path) -> None:
        with run_folder(folder, shared_disk(Accelerator())):
            pass

    with run_folder(tmp_path / "run", shared_disk(Accelerator())):
        (tmp_path / "run" / "result").write_text("1")
        with pytest.raises(InputError, match=r"Another run works in .*Expected one at a time"):
            second(tmp_path / "run")
        second(tmp_path / "other")
    second(tmp_path / "run")
    assert sorted(os.listdir(tmp_path)) == ["run"]
    assert sorted(os.listdir(tmp_path / "run")) == [LOCK, "result"]


def test_a_lock_outlives_no_process(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED_INSIDE, str(tmp_path / "run")], cwd=ROOT, check=False)
    assert (tmp_path / "run" / "x").exists()
    with run_folder(tmp_path / "run", shared_disk(Accelerator())):
        pass


def test_a_folder_that_cannot_be_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(WriteError, match="file/run cannot be written"),
        run_folder(tmp_path / "file/run", shared_disk(Accelerator())),
    ):
        pass


def test_how_a_command_ends(capsys: pytest.CaptureFixture[str]) -> None:
    def raising(error: BaseException) -> Callable[[], None]:
        def work() -> None:
            raise error

        return work

    assert exit_status(lambda: None) == 0
    assert exit_status(raising(InputError("3", "4"))) == 1
    assert exit_status(raising(OSError(28, "No space left on device"))) == 1
    assert exit_status(raising(KeyboardInterrupt()), "Again.") == 130
    assert capsys.readouterr().err.splitlines() == [
        "InputError: 3. Expected 4.",
        "OSError: [Errno 28] No space left on device. Make room and run the same command again.",
        "",
        "Interrupted. Again.",
    ]
    with pytest.raises(FileNotFoundError):
        exit_status(raising(FileNotFoundError(2, "a fault of the program")))


STATE = Path("training/block_01-block_03/process_0_of_1/state.safetensors")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("backbone")
    tiny_model(seed=1).save_pretrained(folder)
    values = {"backbone": folder, "classes": "n01503061,n07705931", "image_size": 28, "layers": "block_01,block_03"}
    values |= {"d_sae": 48, "k": 4, "epochs": 30, "batch_size": 16, "checkpoint_every": 5}
    return [part for name, value in values.items() for part in (f"--{name}", str(value))]


def started(settings: list[str], folder: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "training/train.py", *settings, "--run_dir", str(folder)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stderr=subprocess.PIPE, stdout=subprocess.PIPE)


def wait_for(process: subprocess.Popen[str], condition: Callable[[], bool]) -> None:
    while process.poll() is None and not condition():
        time.sleep(0.01)
    assert process.poll() is None, process.stderr.read()[-3000:]


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs /proc to see what a process has loaded")
def test_ctrl_c_while_modules_load_is_one_line(settings: list[str], tmp_path: Path) -> None:
    loading = started(settings, tmp_path / "run")
    wait_for(loading, lambda: "libtorch" in Path(f"/proc/{loading.pid}/maps").read_text())
    loading.send_signal(signal.SIGINT)
    assert _end(loading) == (130, "Interrupted. Run the same command again: it goes on where it stopped.")
    assert not (tmp_path / "run").exists()


@contextmanager
def small_disk() -> Iterator[None]:
    """Files can grow to 2 kB only, which the system itself enforces: also that which pytest's report may go to."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.slow
def test_a_full_disk_ctrl_c_and_what_a_kill_left_are_survived(
    settings: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, state = tmp_path / "run", tmp_path / "run" / STATE
    command = [*settings, "--run_dir", str(folder)]
    with small_disk():
        assert main(command) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert "StoreError: " in said
    assert "shard_00000.safetensors could not be written: " in said
    assert "goes on where it stopped" in said

    training = started(settings, folder)
    wait_for(training, state.exists)
    training.send_signal(signal.SIGINT)
    assert _end(training)[0] == 130
    assert not (folder / "artifact").exists()

    for place in (folder, folder / "activations" / "train"):  # as a process that is gone would have left it
        (place / f".half.{training.pid}-{training.pid}.tmp").write_text("half")
    assert main(command) == 0
    assert [path for path in folder.rglob(".*") if path.name != LOCK] == []
    assert set(json.loads((folder / "saes" / "block_03.json").read_text())) == {"settings", "sha256"}
    Artifact.load(folder / "artifact")


def _end(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Exit status and the last line that was said; nothing is a traceback."""
    _, said = process.communicate(timeout=1800)
    assert "Traceback" not in said, said[-3000:]
    return process.returncode, said.splitlines()[-1].split("\r")[-1]


def test_errors_that_reach_other_processes_say_the_same() -> None:
    for error in (InputError("got", "expected", "do"), WriteError("got", "expected", "do")):
        again: HsaeError = copy.copy(error)  # as it is sent between processes
        assert (type(again), str(again), again.got, again.do) == (type(error), str(error), "got", "do")
