"""The plan of a run on this machine, made before it begins; and afterwards beside what it used."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from hsae.backbones.base import Backbone
from hsae.errors import InputError
from training.ledger import Ledger, Used
from training.planning.costs import Asked, Cost
from training.planning.machine import spelled, this_machine
from training.planning.plan import Plan, plan_run, spelled_time
from training.planning.rates import Settings, timed_rates
from training.planning.shape import count_images, shape_of
from training.processes import first_says
from training.stores import Split

log = logging.getLogger("hsae.training")


def plan_here(settings: Settings, split: Split, backbone: Backbone, accelerator: Accelerator) -> Plan:
    """The same plan for all processes, logged by the first; InputError when the run could not end on this machine."""
    made: Any = _planned(settings, split, backbone, accelerator) if accelerator.is_main_process else None
    plan: Plan = first_says(made)
    if accelerator.is_main_process:
        log.info("%s", plan.table())
    if plan.problems:
        got = "".join(f"\n  - {problem}" for problem in plan.problems)
        raise InputError(f"This run would not end on {plan.machine}:{got}\n", do="Nothing was computed yet.")
    return plan


def _planned(settings: Settings, split: Split, backbone: Backbone, accelerator: Accelerator) -> Plan:
    config, sae, train = settings
    shape = shape_of(config, sae, backbone, count_images(config, split))
    asked = Asked(config, sae, train, shape, accelerator.num_processes, accelerator.device.type == "cuda")
    return plan_run(asked, this_machine(Path(config.run)), timed_rates(backbone, shape, settings))


def beside(ledger: Ledger) -> str:
    """What was planned and what was used, stage by stage, and the second as a multiple of the first."""
    assert ledger.plan is not None
    head = f"{'':12}" + "".join(
        f"{name:>32}" for name in ("host memory", "GPU memory", "disk", "time", "processor time")
    )
    rows = (_compared(stage, ledger.stages[stage.name]) for stage in ledger.plan.stages)
    return "\n".join([head, *rows])


def _compared(planned: Cost, used: Used) -> str:
    pairs = [(planned.host, used.host), (planned.device, used.device), (planned.disk, used.disk)]
    cells = [_cell(spelled(a), spelled(b), b / a) if a else "-" for a, b in pairs]
    seconds, times = planned.seconds, (used.seconds, used.processor)
    expected = "-" if seconds is None else spelled_time(seconds)
    cells += [_cell(expected, spelled_time(time), 0.0 if not seconds else time / seconds) for time in times]
    return f"{planned.name:12}" + "".join(f"{cell:>32}" for cell in cells)


def _cell(planned: str, used: str, ratio: float) -> str:
    return f"{planned} planned, {used}" + (f" ({ratio:.2f}x)" if ratio else "")
