"""Processes that start in a moment: forked from one that has loaded all modules once, which takes seconds."""

from __future__ import annotations

import multiprocessing
import os
import sys
import tempfile
from collections.abc import Callable
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

MODULES = ["hsae.views.page.app", "hsae.activations.extract", "hsae.sae.train", "training.stages"]
MODULES += ["transformers.models.dinov2.modeling_dinov2"]
ROOT = Path(__file__).resolve().parents[1]


def forking() -> ForkServerContext:
    """Where such processes are made; what is about loading, or reads the environment while it loads, needs others."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(MODULES)
    return context


def start(log: Path, command: Callable[[list[str]], int], *arguments: str, **environment: str) -> ForkServerProcess:
    """A process that runs a command in the checkout; its exit status is what `command` returns, its words go to `log`.

    command: a function of a module, which is looked up there again.
    """
    process = forking().Process(target=_run, args=(log, command, arguments, environment))
    process.start()
    return process


def _run(
    log: Path, command: Callable[[list[str]], int], arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    with log.open("wb") as out:
        os.dup2(out.fileno(), sys.stdout.fileno())
        os.dup2(out.fileno(), sys.stderr.fileno())
    os.chdir(ROOT)
    os.environ.update(environment)
    tempfile.tempdir = None  # it is looked up again
    sys.exit(command(list(arguments)))
