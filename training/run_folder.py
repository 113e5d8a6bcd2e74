"""A run has its folder for itself, and finds in it nothing that a killed one left half."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hsae.atomic import remove, sweep
from hsae.errors import HsaeError, InputError, WriteError
from training.disks import Disk, everyone_says

LOCK = ".lock"


@contextmanager
def run_folder(folder: Path, disk: Disk) -> Iterator[None]:
    """Inside, `folder` belongs to the processes of this run; if nothing was written, it is gone afterwards.

    InputError when another run works in it, or when the processes of one disk do not all see the same folder.
    """
    with ExitStack() as held:
        problem: HsaeError | None = None
        if disk.is_main_process:
            try:
                held.enter_context(_locked(folder))
                sweep(folder)
            except HsaeError as error:
                problem = error
        problems = [problem for problem in everyone_says(problem) if problem is not None]
        if problems:
            raise problems[0]
        if not (folder / LOCK).exists():
            got = f"process {disk.process_index} does not see {folder / LOCK}, which the first process made"
            do = "Choose another --run_dir, or say --own_disks true."
            raise InputError(got, "a folder on a disk that all machines of the run share", do)
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / LOCK, timeout=0)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire()
    except Timeout:
        do = "Wait until it has ended, or choose another --run_dir."
        raise InputError(f"Another run works in {folder}", "one at a time", do) from None
    except OSError as error:
        do = "Choose another --run_dir."
        raise WriteError(f"{folder} cannot be written: {error}", "a folder that can be", do) from error
    try:
        yield
    finally:
        lock.release()
        if {path.name for path in folder.iterdir()} <= {LOCK}:
            remove(folder)
