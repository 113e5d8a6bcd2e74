"""The process of `apart`: `python -m hsae.data.apart_process` reads pictures from its input until that ends."""

from __future__ import annotations

import json
import signal
import sys
from typing import Any

from hsae.data.decode import FORMATS, decode_here
from hsae.data.limits import SECONDS, Limits
from hsae.errors import ImageError

_MEMORY = 3 * 2**30  # bytes


def main() -> None:
    """Answer every job of standard input: a line of JSON with the length of what follows, then so many bytes."""
    _limit()
    for line in iter(sys.stdin.buffer.readline, b""):
        job = json.loads(line)
        encoded = sys.stdin.buffer.read(job.pop("length"))
        _end_after(SECONDS + 0.25)  # what reads in pieces ends by itself before that, with a better reason
        header, content = _answer(encoded, **job)
        _end_after(0)
        sys.stdout.buffer.write(json.dumps({"length": len(content), **header}).encode() + b"\n" + content)
        sys.stdout.buffer.flush()


def _answer(encoded: bytes, name: str, **limits: Any) -> tuple[dict[str, Any], bytes]:
    try:
        image, mask = decode_here(encoded, name, Limits(**limits))
    except ImageError as error:
        return {"error": [error.got, error.expected, error.do]}, b""
    shown = b"" if mask is None else mask.tobytes()
    return {"size": image.size, "mask": mask is not None}, image.tobytes() + shown


def _limit() -> None:
    if "AVIF" in FORMATS:
        # One thread: several would use up the processor time of a large photograph no sooner, and that of others.
        from PIL import AvifImagePlugin

        AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def _end_after(seconds: float) -> None:
    """Let the system end this process after so much processor time; 0: not any more."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)


if __name__ == "__main__":
    main()
