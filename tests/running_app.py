"""`python app.py` as a visitor meets it: another process, an address, and an end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from tests.forked import ROOT, Command, free_port, start


@contextmanager
def running_app(log: Path, *arguments: str, **environment: str) -> Iterator[str]:
    """The address of a running app; what it prints goes into `log`."""
    with running_process(log, *arguments, **environment) as (address, _):
        yield address


@contextmanager
def running_process(
    log: Path, *arguments: str, port: int | None = None, **environment: str
) -> Iterator[tuple[str, int]]:
    """Address and process id of a running app, at a free port unless one is given."""
    port = port or free_port()
    command = [sys.executable, "app.py", "--port", str(port), *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=out, stderr=out)
        try:
            yield _answering(port, lambda: process.poll() is None, log), process.pid
        finally:
            process.terminate()
            process.wait(300)


def app(arguments: list[str]) -> int:
    """What app.py does."""
    from hsae.commands.command_line import run_command
    from hsae.views.page import app

    return run_command(app, "app.py", arguments)


@contextmanager
def forked_app(
    log: Path, *arguments: str, port: int | None = None, command: Command = app, **environment: str
) -> Iterator[tuple[str, int]]:
    """The same in a fraction of the time, where it does not matter how the app starts and ends (see `tests.forked`)."""
    port = port or free_port()
    process = start(log, command, "--port", str(port), *arguments, **environment)
    try:
        yield _answering(port, process.is_alive, log), process.pid
    finally:
        process.terminate()
        process.join(300)


def _answering(port: int, alive: Callable[[], bool], log: Path) -> str:
    """The address of the app, when it answers."""
    address, end = f"http://127.0.0.1:{port}/", time.monotonic() + 1800  # a busy machine is no failure
    while time.monotonic() < end and alive():
        try:
            with urlopen(address, timeout=5):
                return address
        except OSError:  # not there yet, or too busy to answer
            time.sleep(0.05)
    raise AssertionError(f"the app did not come up:\n{log.read_text()}")
