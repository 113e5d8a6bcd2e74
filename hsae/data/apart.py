"""Decoding in a process of its own, for pictures whose decoders cannot be stopped in any other way.

The decoders of TIFF and AVIF, and that of WebP, take a whole file in one call, and what the file asks of the first two
cannot be told before. Such a picture goes to a waiting process, which is ended when it has used up its time; the next
picture starts another. A decoder that breaks down takes nothing else with it.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Timer

import numpy as np
from PIL import Image

from hsae.data.limits import SECONDS, Limits
from hsae.errors import ImageError

_PATIENCE = 5 * SECONDS  # by the clock: for a busy machine, or one that cannot limit processor time
_SAFE_WEBP = 6_000_000  # pixels: 0.7 s at worst
_MODULE = "hsae.data.apart_process"

_idle: list[subprocess.Popen[bytes]] = []  # one for each of the threads that ever decoded apart at the same time


def must_be_apart(encoded: bytes) -> bool:
    """Whether a picture is of a format whose decoder cannot be stopped, and large enough to need it."""
    if encoded[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+") or encoded[4:8] == b"ftyp":  # TIFF, AVIF
        return True
    return encoded[:4] == b"RIFF" and encoded[8:12] == b"WEBP" and _webp_pixels(encoded) > _SAFE_WEBP


def decode_apart(encoded: bytes, name: str, limits: Limits) -> tuple[Image.Image, np.ndarray | None]:
    """As `decode.decode_here`, in another process; ImageError, too, when that had to be ended or broke down."""
    with _process() as process:
        try:
            answer = _ask(process, {"length": len(encoded), "name": name, **asdict(limits)}, encoded)
        except (OSError, EOFError) as error:
            got = f"{name} takes more than {SECONDS:g} seconds to decode, or more memory than any picture needs"
            expected = f"a picture that is decoded in {SECONDS:g} seconds"
            raise ImageError(got, expected, "Open it in an image program and save it again.") from error
    header, content = answer
    if "error" in header:
        raise ImageError(*header["error"])
    width, height = size = header["size"]
    image = Image.frombytes("RGB", size, content[: 3 * width * height])
    if not header["mask"]:
        return image, None
    return image, np.frombuffer(content, bool, offset=3 * width * height).reshape(height, width).copy()


def _webp_pixels(encoded: bytes) -> int:
    """The size of the canvas, as the header of one of the three kinds of WebP states it; 0 where there is none."""
    head = int.from_bytes(encoded[24:30], "little")
    if encoded[12:16] == b"VP8X":
        return (1 + head % 2**24) * (1 + (head >> 24))
    if encoded[12:16] == b"VP8L":
        head = int.from_bytes(encoded[21:25], "little")
        return (1 + head % 2**14) * (1 + (head >> 14) % 2**14)
    head = int.from_bytes(encoded[26:30], "little")
    return head % 2**14 * ((head >> 16) % 2**14)


@contextmanager
def _process() -> Iterator[subprocess.Popen[bytes]]:
    """A process that waits for a picture, put back afterwards if it lives and has nothing left to say."""
    process = _waiting() or _started()
    try:
        yield process
    except BaseException:
        _end(process)
        raise
    _idle.append(process)


def _waiting() -> subprocess.Popen[bytes] | None:
    while _idle:
        try:
            process = _idle.pop()
        except IndexError:  # another thread took the last one
            return None
        if process.poll() is None:
            return process
        _end(process)
    return None


def _started() -> subprocess.Popen[bytes]:
    paths = [str(Path(__file__).parents[2]), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-m", _MODULE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # libtiff talks
        env=environment,
    )


def _ask(process: subprocess.Popen[bytes], job: dict[str, object], encoded: bytes) -> tuple[dict, bytes]:
    """Send a job, a line of JSON followed by the picture; the answer is of the same form."""
    give, take = process.stdin, process.stdout
    assert give is not None
    assert take is not None
    clock = Timer(_PATIENCE, process.kill)
    clock.start()
    try:
        give.write(json.dumps(job).encode() + b"\n" + encoded)
        give.flush()
        line = take.readline()
        if not line:
            raise EOFError("the process has ended")
        header = json.loads(line)
        content = take.read(header.get("length", 0))
        if len(content) < header.get("length", 0):
            raise EOFError("the process has ended")
        return header, content
    finally:
        clock.cancel()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.communicate()


def _end_idle() -> None:
    while _idle:
        _end(_idle.pop())


atexit.register(_end_idle)
if hasattr(os, "register_at_fork"):  # a forked process must not talk to those of the first
    os.register_at_fork(after_in_child=_idle.clear)
