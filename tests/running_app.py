"""`python app.py` as a visitor meets it: another process, an address, and an end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import randbelow
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]


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
            address = f"http://127.0.0.1:{port}/"
            _wait(process, address, log)
            yield address, process.pid
        finally:
            process.terminate()
            process.wait(300)


def free_port() -> int:
    """A port that is free and stays so: it lies below those that the system gives to clients."""
    while True:
        port = 10_000 + randbelow(20_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _wait(process: subprocess.Popen, address: str, log: Path) -> None:
    end = time.monotonic() + 1800  # a busy machine is no failure
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urlopen(address, timeout=5):
                return
        except OSError:  # not there yet, or too busy to answer
            time.sleep(0.2)
    raise AssertionError(f"the app did not come up:\n{log.read_text()}")
