"""A run has its folder for itself, and finds in it nothing that a killed one left half."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from accelerate import Accelerator
from filelock import FileLock, Timeout

from hsae.atomic import remove, sweep
from hsae.errors import HsaeError, InputError, WriteError
from training.processes import first_says

LOCK = ".lock"


@contextmanager
def run_folder(folder: Path, accelerator: Accelerator) -> Iterator[None]:
    """Inside, `folder` belongs to the processes of this run; if nothing was written, it is gone afterwards.

    InputError when another run works in it, or when the processes do not all see the same folder.
    """
    with ExitStack() as held:
        problem: HsaeError | None = None
        if accelerator.is_main_process:
            try:
                held.enter_context(_locked(folder))
                sweep(folder)
            except HsaeError as error:
                problem = error
        problem = first_says(problem)
        if problem is not None:
            raise problem
        if not (folder / LOCK).exists():
            got = f"process {accelerator.process_index} does not see {folder / LOCK}, which the first process made"
            raise InputError(got, "a folder on a disk that all machines of the run share", "Choose another --run_dir.")
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
