"""Parsing, error reports and exit status of every command line."""

from __future__ import annotations

import argparse
import inspect
from pathlib import Path
from types import ModuleType

from hsae.exit_status import exit_status


def run_command(command: ModuleType, program: str, arguments: list[str]) -> int:
    """Parse the arguments of a command module and run it; returns the exit status.

    command: has `add_arguments(parser)` and `run(options)`; its docstring is the help text. With `PASSES_ON = True` it
    is given arguments that it does not know as `options.rest`; others refuse them.
    """
    parser = argparse.ArgumentParser(
        prog=program, description=inspect.getdoc(command), formatter_class=_DocumentedDefaults
    )
    command.add_arguments(parser)
    options, rest = parser.parse_known_args(arguments)
    if rest and not getattr(command, "PASSES_ON", False):
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    again = "What is finished is kept: the same command goes on from there."
    return exit_status(lambda: command.run(options), interrupted=again)


def artifact_in(source: str | Path) -> str | Path:
    """The artifact in the folder of a run; anything else as it is: an artifact, "starter" or a Hub id."""
    inside = Path(source) / "artifact"
    return inside if (inside / "hsae.json").is_file() else source


def figures_beside(run: Path) -> Path:
    """The default folder of figures: inside a run, beside an artifact."""
    return run / "figures" if (run / "artifact").is_dir() else run.with_name(f"{run.name}-figures")


class _DocumentedDefaults(argparse.RawDescriptionHelpFormatter, argparse.ArgumentDefaultsHelpFormatter):
    """The docstring unchanged, and every default that is neither None nor False."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False) or "default:" in (action.help or ""):
            return action.help
        return super()._get_help_string(action)
