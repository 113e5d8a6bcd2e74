"""Which processes of a run see the same disk: all of them, or, where machines share none, those of one machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch.distributed as dist
from accelerate import Accelerator

from hsae.errors import InputError


@dataclass(frozen=True, eq=False)
class Disk:
    """The processes that work with this one on one disk, in place of an Accelerator where a stage is theirs alone."""

    device: Any
    process_index: int
    """Among the processes of this disk."""
    num_processes: int
    """Of this disk."""
    number: int = 0
    """Of the disk."""
    of: int = 1
    group: Any = None
    """Of torch.distributed; None: all processes."""

    @property
    def is_main_process(self) -> bool:
        """Whether this is the first of them."""
        return self.process_index == 0

    @property
    def is_first(self) -> bool:
        """Whether the run's first process is among them, which analyses."""
        return self.number == 0

    def wait_for_everyone(self) -> None:
        """Until all of them are here."""
        if self.num_processes > 1:
            dist.barrier(self.group)

    @contextmanager
    def main_process_first(self) -> Iterator[None]:
        """What is inside the first does before the others."""
        if not self.is_main_process:
            self.wait_for_everyone()
        yield
        if self.is_main_process:
            self.wait_for_everyone()

    def gather(self, value: Any) -> list[Any]:
        """What each of them has."""
        if self.num_processes == 1:
            return [value]
        values = [None] * self.num_processes
        dist.all_gather_object(values, value, self.group)
        return values


def shared_disk(accelerator: Accelerator) -> Disk:
    """One disk for all processes."""
    return Disk(accelerator.device, accelerator.process_index, accelerator.num_processes)


def own_disks(accelerator: Accelerator, parallel: str) -> Disk:
    """A disk for each machine; InputError unless as many processes run on each and share every batch."""
    if parallel == "layer":
        do = "Leave --parallel layer out: each machine would train its layers on its own images alone."
        raise InputError("--own_disks with --parallel layer", "processes that share every batch", do)
    total, local = accelerator.num_processes, int(os.environ.get("LOCAL_WORLD_SIZE", accelerator.num_processes))
    if total % local:
        raise InputError(f"{total} processes, {local} of them on this machine", "the same number on every machine")
    if total == local:
        return shared_disk(accelerator)
    members = [list(range(first, first + local)) for first in range(0, total, local)]
    groups = [dist.new_group(ranks, backend="gloo") for ranks in members]  # all processes make all groups
    number, place = divmod(accelerator.process_index, local)
    return Disk(accelerator.device, place, local, number, len(members), groups[number])


def everyone_says(value: Any) -> list[Any]:
    """What every process of the run has."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(values, value)
    return values
