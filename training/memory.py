"""Memory that this process holds."""

from __future__ import annotations

import ctypes
import gc
import sys
from contextlib import suppress
from pathlib import Path

import psutil


def resident(peak: bool) -> int:
    """Bytes of memory that this process holds, or at its peak held since `forget_peak` (without Linux: holds)."""
    trim()
    if not sys.platform.startswith("linux"):
        return psutil.Process().memory_info().rss
    key = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(key)) * 1024


def trim() -> None:
    """Give memory that is not in use back to the system, where its C library can."""
    gc.collect()
    if sys.platform.startswith("linux") and hasattr(library := ctypes.CDLL(None), "malloc_trim"):
        library.malloc_trim(0)


def forget_peak() -> None:
    """Count the peak anew from here (Linux)."""
    trim()
    with suppress(OSError):  # not Linux, or a container that forbids it
        Path("/proc/self/clear_refs").write_text("5")
