"""What a run is told, as one object for each of its parts."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from hsae.sae.config import SAEConfig, TrainConfig
from training.config_file import CONFIG, expand
from training.flags import FlagParser
from training.run_config import RunConfig

CONFIGS = (RunConfig, SAEConfig, TrainConfig)


def flags_of(arguments: Sequence[str]) -> list[str]:
    """The arguments with config files written out as flags."""
    return expand(arguments, CONFIGS)


def parse(arguments: Sequence[str]) -> tuple[RunConfig, SAEConfig, TrainConfig]:
    """Settings from `--config FILE` and flags; a flag wins over the files, a file over the library's defaults."""
    parser = FlagParser(CONFIGS, parents=[CONFIG], prog="train.py", description=_ABOUT)
    run, sae, train = parser.parse(flags_of(arguments))
    return run, sae, train


def command_of(flags: Sequence[str]) -> str:
    """How to train again, for a card that strangers read: every flag once, and no folder of this machine.

    Of a flag given twice the last one counts; of an absolute path its last part is told.
    """
    told: dict[str, list[str]] = {}
    for word in flags:
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            told.pop(name, None)  # where it stands last
            told[name] = [value] if equals else []
        else:
            list(told.values())[-1].append(word)
    words = [word for name, values in told.items() for word in (name, *map(_without_folder, values))]
    return shlex.join(["accelerate", "launch", "training/train.py", *words])


def _without_folder(value: str) -> str:
    """Of each path between commas that is absolute, the last part."""
    return ",".join(Path(part).name if Path(part).is_absolute() else part for part in value.split(","))


_ABOUT = """Train an artifact: images -> activations -> SAEs -> probes and analysis -> artifact. Stages that are done
are skipped, and a run that was broken off goes on where it was."""
