"""What a run is told, as one object for each of its parts."""

from __future__ import annotations

from collections.abc import Sequence

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


_ABOUT = """Train an artifact: images -> activations -> SAEs -> probes and analysis -> artifact. Stages that are done
are skipped, and a run that was broken off goes on where it was."""
