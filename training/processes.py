"""How many processes train what: as many as were asked for, or a sentence that says how to get them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.state import get_int_from_env
from accelerate.tracking import LoggerType, filter_trackers
from accelerate.utils import InitProcessGroupKwargs, broadcast_object_list

from hsae.errors import InputError
from hsae.sae.config import TrainConfig
from training.run_config import RunConfig

Value = TypeVar("Value")

SEVERAL = "torchrun --nproc_per_node 2 training/train.py ..."
SIZES = ["WORLD_SIZE", "PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MV2_COMM_WORLD_SIZE"]
"""Where launchers say how many processes they start: torchrun, and those of MPI."""
IGNORED = {
    "ACCELERATE_MIXED_PRECISION": ("--mixed_precision", "Give train.py --bf16 true or --train_precision bfloat16"),
    "ACCELERATE_DYNAMO_BACKEND": ("--dynamo_backend", "hsae compiles nothing"),
    "ACCELERATE_USE_DEEPSPEED": ("--use_deepspeed", f"Use {SEVERAL}"),
    "ACCELERATE_USE_FSDP": ("--use_fsdp", f"Use {SEVERAL}"),
    "ACCELERATE_USE_MEGATRON_LM": ("--use_megatron_lm", f"Use {SEVERAL}"),
    "ACCELERATE_USE_PARALLELISM_CONFIG": ("--use_parallelism_config", f"Use {SEVERAL}"),
}
"""What `accelerate launch` can be asked for and passes on by these variables, and hsae does not do."""
PATIENCE = timedelta(days=7)
"""The first process analyses, packs and publishes alone; the others wait and must not take it for broken off."""


def new_accelerator(config: RunConfig) -> Accelerator:
    """The Accelerator of a run, with its tracker when one was asked for; InputError for a launch that is no such."""
    refuse_launch(os.environ)
    processes = get_int_from_env(SIZES, 1)
    gpu = torch.accelerator.is_available() and torch.accelerator.current_accelerator() != torch.device("mps")
    cpu = processes > 1 and not gpu  # else each would take itself for the only one
    tracking: dict[str, Any] = {}
    if config.log_with is not None:
        tracking = {"log_with": _tracker(config.log_with, config.run), "project_dir": config.run}
    made = Accelerator(cpu=cpu, kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)], **tracking)
    if tracking:
        made.init_trackers("hsae")
    if made.num_processes < processes:
        raise InputError(f"{made.num_processes} process in place of {processes}", f"{processes}", f"Use {SEVERAL}.")
    return made


def _tracker(name: str, folder: str) -> str:
    known = [tracker.value for tracker in LoggerType if tracker is not LoggerType.ALL]
    if name not in known or not filter_trackers(name, folder):
        expected = f"one of {', '.join(known)} that is installed"
        raise InputError(f"--log_with {name}", expected, "Install it with pip, or leave it out.")
    return name


def refuse_launch(variables: Mapping[str, str]) -> None:
    """InputError when the launcher asked for what hsae would silently not do."""
    asked = [
        (flag, value, instead)
        for name, (flag, instead) in IGNORED.items()
        if (value := variables.get(name, "no").lower()) not in ("no", "false", "0", "")
    ]
    if asked:
        got = " and ".join(f"{flag} {value}" for flag, value, _ in asked)
        raise InputError(f"accelerate launch with {got}", "none of these", f"{'; '.join({i for *_, i in asked})}.")
    # Its launcher for one process sets these when it was asked for several.
    if "ACCELERATE_MIXED_PRECISION" in variables and "MASTER_PORT" in variables and "WORLD_SIZE" not in variables:
        raise InputError(
            "accelerate launch started one process, though several were asked for (without GPUs it does so)",
            "as many as asked for",
            f"Use {SEVERAL}, which needs no GPU, or ask for one process.",
        )
    local = int(variables.get("LOCAL_WORLD_SIZE", "1"))
    gpus = 0 if variables.get("ACCELERATE_USE_CPU", "false").lower() in ("true", "1") else torch.cuda.device_count()
    if gpus and local > gpus:
        raise InputError(
            f"{local} processes on a machine with {gpus} GPU{'s' if gpus > 1 else ''}",
            "at most one process a GPU",
            "For processes on the CPU put ACCELERATE_USE_CPU=true before the command.",
        )


def first_says(value: Value) -> Value:
    """The value that the first process has, on all of them: so that all do the same."""
    return broadcast_object_list([value])[0]


def describe(accelerator: Accelerator, layers: int, train: TrainConfig) -> str:
    """One sentence: how many processes run where, and what each of them does."""
    of, where = accelerator.num_processes, accelerator.device.type
    if of == 1:
        return f"1 process on {where} trains {layers} layers on batches of {train.batch_size} tokens"
    if train.parallel == "layer":
        idle = f"; {of - layers} have nothing to train" if of > layers else ""
        return f"{of} processes on {where} share {layers} layers, each on batches of {train.batch_size} tokens{idle}"
    whole = of * train.batch_size
    return f"{of} processes on {where} train {layers} layers on batches of {whole} tokens, {train.batch_size} in each"
