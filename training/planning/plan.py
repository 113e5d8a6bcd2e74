"""A run planned: what every stage needs, how many layers train at once, what does not fit and what makes it fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from training.planning import costs
from training.planning.analysis_cost import analysis
from training.planning.costs import Asked, Cost
from training.planning.machine import Machine, spelled
from training.planning.rates import Rates

ROOM = 0.85
"""Share of free memory that layers at once may fill: estimates are not exact, and other programs need some."""


@dataclass(frozen=True)
class Plan:
    """What a run will need of a machine."""

    machine: Machine
    layers_at_once: int
    stages: tuple[Cost, ...]
    problems: tuple[str, ...]
    """What does not fit, each with the flag that makes it fit."""

    def table(self) -> str:
        """Every stage in a line, and what does not fit."""
        head = f"{'':12}{'images':>10}{'disk':>10}{'host':>10}{'device':>10}{'PFLOP':>9}{'time':>10}{'checkpoints':>13}"
        lines = [f"Planned for {self.machine}; memory is that of one process.", head, *map(_line, self.stages)]
        lines.append(f"SAEs of {self.layers_at_once} layers train at once. Decoding is not counted in the times.")
        return "\n".join([*lines, *(f"Does not fit: {problem}" for problem in self.problems)])


def plan_run(asked: Asked, machine: Machine, rates: Rates | None = None) -> Plan:
    """What the run needs on a machine, with as many layers at once as fit unless it says how many."""
    chosen = asked.config.layers_at_once or _layers_that_fit(asked, machine)
    stages = _stages(asked, rates, chosen)
    return Plan(machine, chosen, stages, tuple(_problems(asked, machine, chosen)))


def _stages(asked: Asked, rates: Rates | None, layers_at_once: int) -> tuple[Cost, ...]:
    return costs.activations(asked, rates), costs.training(asked, rates, layers_at_once), analysis(asked)


def _layers_that_fit(asked: Asked, machine: Machine) -> int:
    """The most layers whose training fits, in groups of about equal size; 1 where not even one does."""
    total = len(asked.shape.layers)
    for passes in range(1, total + 1):
        together = -(-total // passes)
        if _fits(costs.training(asked, None, together), machine, ROOM):
            return together
    return 1


def _fits(cost: Cost, machine: Machine, room: float = 1.0) -> bool:
    host = cost.host * machine.processes <= room * machine.host
    return host and (not machine.devices or cost.device <= room * machine.device)


def _disk(asked: Asked, layers_at_once: int) -> float:
    """Bytes that the run's folder grows to, at most."""
    stages = _stages(asked, None, layers_at_once)
    return sum(stage.disk for stage in stages) + max(stage.scratch for stage in stages)


def _problems(asked: Asked, machine: Machine, layers_at_once: int) -> Iterator[str]:
    for number, stage in enumerate(_stages(asked, None, layers_at_once)):

        def fits(other: Asked, number: int = number) -> bool:
            together = min(layers_at_once, other.config.layers_at_once or layers_at_once)
            return _fits(_stages(other, None, together)[number], machine)

        if not fits(asked):
            needs = f"{stage.name} needs {spelled(stage.host)} of memory"
            needs += f" and {spelled(stage.device)} of the GPU" if stage.device else ""
            yield f"{needs} in each process; {_remedy(asked, fits, MEMORY[stage.name])}"
    needed = _disk(asked, layers_at_once)
    if machine.disk is not None and needed > machine.disk:

        def stores(other: Asked) -> bool:
            return _disk(other, layers_at_once) <= (machine.disk or 0)

        yield f"{spelled(needed)} on the disk, where {spelled(machine.disk)} are free; {_remedy(asked, stores, DISK)}"


def _halved(part: str, name: str, start: Callable[[Asked], int]) -> Callable[[Asked], Iterator[tuple[str, Asked]]]:
    """Tries a setting of `config` or `train` with half of its value, a quarter, ... down to 1."""

    def tries(asked: Asked) -> Iterator[tuple[str, Asked]]:
        value = start(asked) // 2
        while value >= 1:
            changed: Any = replace(getattr(asked, part), **{name: value})
            yield f"--{name} {value}", replace(asked, **{part: changed})
            value //= 2

    return tries


def _set(part: str, name: str, value: Any) -> Callable[[Asked], Iterator[tuple[str, Asked]]]:
    def tries(asked: Asked) -> Iterator[tuple[str, Asked]]:
        changed: Any = replace(getattr(asked, part), **{name: value})
        yield f"--{name} {value}", replace(asked, **{part: changed})

    return tries


def _fewer_to_choose_on(asked: Asked) -> Iterator[tuple[str, Asked]]:
    """Tries a smaller share of the training images to choose on."""
    images = asked.shape.images
    for share in (0.1, 0.05, 0.02, 0.01, 0.0):
        choice = round(share * (images.train + images.choice))
        if choice < images.choice:
            fewer = replace(images, choice=choice, train=images.train + images.choice - choice)
            yield f"--choice_share {share:g}", replace(asked, shape=replace(asked.shape, images=fewer))


MEMORY = {
    "activations": (_halved("config", "images_per_batch", lambda asked: asked.config.images_per_batch),),
    "training": (
        _halved("config", "layers_at_once", lambda asked: len(asked.shape.layers)),
        _halved("train", "buffer_tokens", lambda asked: asked.train.buffer_tokens),
        _halved("train", "batch_size", lambda asked: asked.train.batch_size),
        _halved("sae", "expansion", lambda asked: asked.sae.expansion),
    ),
    "analysis": (_halved("config", "probe_images", lambda asked: asked.probed), _fewer_to_choose_on),
}
"""What may make a stage fit into memory, the mildest first."""
DISK = (_set("config", "store_dtype", "bfloat16"), _set("config", "activations", "online"))


def _remedy(asked: Asked, fits: Callable[[Asked], bool], ways: tuple[Callable[[Asked], Any], ...]) -> str:
    """The first change that makes it fit."""
    for way in ways:
        for flag, other in way(asked):
            if fits(other):
                return f"{flag} makes it fit"
    return "no single flag makes it fit: take fewer layers (--layers) or a larger machine"


def _line(stage: Cost) -> str:
    device = spelled(stage.device) if stage.device else "-"
    work = f"{stage.flops / 1e15:.3g}" if stage.flops else "-"
    time = "-" if stage.seconds is None else spelled_time(stage.seconds)
    return (
        f"{stage.name:12}{stage.images:>10}{spelled(stage.disk):>10}{spelled(stage.host):>10}{device:>10}"
        f"{work:>9}{time:>10}{stage.checkpoints or '-':>13}"
    )


def spelled_time(seconds: float) -> str:
    """Seconds in words: "3 h 20 min"."""
    minutes = seconds / 60
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes:.0f} min" if minutes < 100 else f"{minutes / 60:.1f} h"
