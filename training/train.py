"""Train an artifact: images -> activations -> SAEs -> probes and analysis -> artifact, skipping what is done.

    accelerate launch training/train.py --config training/configs/quickstart.yaml [--epochs 5 ...]

Flags override the config file. Run it again after an interruption: finished stages are not repeated.
"""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # `accelerate launch` puts only training/ on the path

import yaml
from accelerate import Accelerator
from accelerate.tracking import LoggerType, filter_trackers
from transformers import HfArgumentParser

from hsae.errors import HsaeError, InputError
from hsae.sae.config import SAEConfig
from hsae.sae.train import TrainConfig
from training.run_config import RunConfig
from training.stages import run


def main(arguments: list[str]) -> int:
    """Run all stages; returns the exit status and prints errors a user can cause as one sentence."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    try:
        arguments = expand(arguments)
        run_config, sae_config, train_config = parse(arguments)
        command = shlex.join(["accelerate", "launch", "training/train.py", *arguments])
        artifact = run(run_config, sae_config, train_config, accelerator(run_config), command)
    except HsaeError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"Done. Look at it with: python app.py --artifact {run_config.push_to_hub or artifact}")
    return 0


def accelerator(config: RunConfig) -> Accelerator:
    """The Accelerator of a run, with its tracker when one was asked for."""
    if config.log_with is None:
        return Accelerator()
    known = [tracker.value for tracker in LoggerType if tracker is not LoggerType.ALL]
    if config.log_with not in known or not filter_trackers(config.log_with, config.run):
        got = f"--log_with {config.log_with}"
        raise InputError(got, f"one of {', '.join(known)} that is installed", "Install it with pip, or leave it out.")
    made = Accelerator(log_with=config.log_with, project_dir=config.run)
    made.init_trackers("hsae")
    return made


def parse(arguments: list[str]) -> tuple[RunConfig, SAEConfig, TrainConfig]:
    """Settings from `--config FILE` and flags; a flag wins over the file, the file over the library's defaults."""
    return HfArgumentParser((RunConfig, SAEConfig, TrainConfig)).parse_args_into_dataclasses(expand(arguments))


def expand(arguments: list[str]) -> list[str]:
    """The same arguments with `--config FILE` written out as flags, which the later ones override."""
    if arguments[:1] != ["--config"]:
        return arguments
    if len(arguments) < 2:
        raise InputError("--config without a file", "--config training/configs/NAME.yaml")
    return [*_flags(Path(arguments[1])), *arguments[2:]]


def _flags(path: Path) -> list[str]:
    """The settings of a YAML file as flags."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path} cannot be read: {error}", "a YAML file", "See training/configs.") from error
    if not isinstance(settings, dict):
        raise InputError(f"{path} holds a {type(settings).__name__}", "lines of the form `name: value`")
    return [part for name, value in settings.items() for part in (f"--{name}", str(value))]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
