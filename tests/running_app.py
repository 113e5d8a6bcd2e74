"""`python app.py` as a visitor meets it: another process, an address, and an end."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[1]


@contextmanager
def running_app(log: Path, *arguments: str, seconds: float = 120, **environment: str) -> Iterator[str]:
    """The address of a running app; what it prints goes into `log`."""
    with running_process(log, *arguments, seconds=seconds, **environment) as (address, _):
        yield address


@contextmanager
def running_process(
    log: Path, *arguments: str, port: int | None = None, seconds: float = 120, **environment: str
) -> Iterator[tuple[str, int]]:
    """Address and process id of a running app, at a free port unless one is given."""
    port = port or free_port()
    command = [sys.executable, "app.py", "--port", str(port), *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=out, stderr=out)
        try:
            address = f"http://127.0.0.1:{port}/"
            _wait(process, address, log, seconds)
            yield address, process.pid
        finally:
            process.terminate()
            process.wait(30)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(process: subprocess.Popen, address: str, log: Path, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            with urlopen(address, timeout=5):
                return
        except URLError:
            time.sleep(0.2)
    raise AssertionError(f"the app did not come up:\n{log.read_text()}")
