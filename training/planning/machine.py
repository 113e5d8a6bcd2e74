"""What a run may use of a machine."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from hsae.errors import InputError

UNITS = {"MB": 10**6, "GB": 10**9, "TB": 10**12, "MIB": 2**20, "GIB": 2**30, "TIB": 2**40}
_SIZE = r"(\d+(?:\.\d+)?)\s*([MGT]I?B)"
_MACHINE = re.compile(rf"(?:(\d+)x{_SIZE},)?{_SIZE}(?:,{_SIZE})?", re.IGNORECASE)
EXAMPLES = '"8x80GB,2TB" (GPUs with their memory, host memory), "24GB" (no GPU), or with a third part for the disk'


@dataclass(frozen=True)
class Machine:
    """Memory and disk in bytes."""

    host: int
    """Memory that all processes share."""
    device: int = 0
    """Memory of one GPU; 0 without one."""
    devices: int = 0
    disk: int | None = None
    """None: not looked at."""
    processes: int = 1
    """Of the run, on this machine."""

    def __str__(self) -> str:
        gpus = f"{self.devices} GPUs of {spelled(self.device)}, " if self.devices else ""
        disk = "" if self.disk is None else f", {spelled(self.disk)} of disk"
        return f"{gpus}{spelled(self.host)} of memory{disk}"


def parse_machine(text: str) -> Machine:
    """A machine from words such as "8x80GB,2TB"; InputError for others."""
    found = _MACHINE.fullmatch(text.replace(" ", ""))
    if found is None:
        raise InputError(f"--machine {text!r}", EXAMPLES)
    count, *sizes = found.groups()
    device, host, disk = (_bytes(*sizes[i : i + 2]) for i in (0, 2, 4))
    return Machine(host, device, int(count or 0), disk or None, max(1, int(count or 0)))


def this_machine(folder: Path) -> Machine:
    """What is free here now, with what the run's own processes hold; disk: where `folder` lies or will lie."""
    processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    gpus = torch.cuda.device_count() if os.environ.get("ACCELERATE_USE_CPU", "").lower() not in ("true", "1") else 0
    device = min((torch.cuda.mem_get_info(number)[0] for number in range(gpus)), default=0)
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    host = psutil.virtual_memory().available + processes * psutil.Process().memory_info().rss
    return Machine(host, device, gpus, shutil.disk_usage(there).free, processes)


def spelled(n_bytes: float) -> str:
    """Bytes in words: "315 GB"."""
    unit = next(name for name in ("TB", "GB", "MB") if n_bytes >= UNITS[name] or name == "MB")
    value = n_bytes / UNITS[unit]
    return f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"


def _bytes(number: str | None, unit: str | None) -> int:
    return 0 if number is None or unit is None else round(float(number) * UNITS[unit.upper()])
