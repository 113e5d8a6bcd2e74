"""What the stages of a run used: time, memory and disk, to hold against what was planned."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from training.memory import forget_peak, resident
from training.planning.plan import Plan


@dataclass(frozen=True)
class Used:
    """What one stage used on this process."""

    seconds: float
    processor: float
    """Seconds of all its threads: what other programs take does not count."""
    host: int
    """Bytes of memory at the peak, with what was there before."""
    device: int
    """The same of a GPU, as torch allocates it; 0 without one."""
    disk: int
    """Bytes of its results."""


class Ledger:
    """Takes down what was planned, and what stages use by name."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.stages: dict[str, Used] = {}

    @contextmanager
    def stage(self, name: str, results: Path) -> Iterator[None]:
        """Inside, a stage runs whose results lie under a folder."""
        forget_peak()
        if torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()
        began, busy = time.perf_counter(), time.process_time()
        yield
        seconds, processor = time.perf_counter() - began, time.process_time() - busy
        device = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
        self.stages[name] = Used(seconds, processor, resident(peak=True), device, disk_bytes(results))


def disk_bytes(folder: Path) -> int:
    """Bytes of all files under a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
