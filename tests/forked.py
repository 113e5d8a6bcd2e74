"""Processes that start in a moment: forked from one that has loaded all modules once, which takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from secrets import randbelow

MODULES = ["hsae.views.page.app", "hsae.activations.extract", "hsae.sae.train", "training.stages"]
MODULES += ["transformers.models.dinov2.modeling_dinov2"]
ROOT = Path(__file__).resolve().parents[1]

Command = Callable[[list[str]], int]
"""Takes arguments, gives an exit status."""


def forking() -> ForkServerContext:
    """Where such processes are made; what is about loading, or reads the environment while it loads, needs others."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)
    return context


def start(log: Path, command: Command, *arguments: str, **environment: str) -> ForkServerProcess:
    """A process that runs a command in the checkout; its exit status is what `command` returns, its words go to `log`.

    command: a function of a module, which is looked up there again. environment: beside that of this process.
    """
    process = forking().Process(target=_run, args=(log, command, arguments, os.environ | environment))
    process.start()
    return process


def two_at_once(folder: Path, command: Command, *arguments: str) -> list[str]:
    """What each of two processes says that compute together, as a launcher on one machine starts them."""
    where = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
    logs = [folder / f"process_{rank}.txt" for rank in (0, 1)]
    processes = [
        start(log, command, *arguments, **where, RANK=str(rank), LOCAL_RANK=str(rank)) for rank, log in enumerate(logs)
    ]
    for process in processes:
        process.join(1800)
    said = [log.read_text() for log in logs]
    assert [process.exitcode for process in processes] == [0, 0], "\n".join(said)[-6000:]
    return said


def free_port() -> int:
    """A port that is free and stays so: it lies below those that the system gives to clients."""
    while True:
        port = 10_000 + randbelow(20_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _run(log: Path, command: Command, arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    with log.open("wb") as out:
        os.dup2(out.fileno(), sys.stdout.fileno())
        os.dup2(out.fileno(), sys.stderr.fileno())
    os.chdir(ROOT)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # it is looked up again
    sys.exit(command(list(arguments)))
