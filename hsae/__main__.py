"""Every command line of the package: python -m hsae COMMAND [--help]"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib import import_module

from hsae.commands.command_line import run_command


@dataclass(frozen=True)
class Row:
    """A command: a module with `add_arguments(parser)` and `run(options)`, imported only when it is asked for."""

    module: str
    summary: str


COMMANDS = {
    "app": Row("hsae.views.page.app", "Explore artifacts in a browser."),
    "bench": Row("hsae.commands.bench", "Compare SAE variants and baselines by the WordNet nodes they know."),
    "captions": Row("hsae.commands.captions", "Tell whether images and texts keep the order from general to specific."),
    "causal": Row("hsae.commands.causal", "Test whether steering a feature moves its WordNet subtree."),
    "compare": Row("hsae.commands.compare", "Compare two runs or artifacts latent by latent."),
    "consistency": Row(
        "hsae.commands.consistency", "Tell which models order classes as WordNet does, and what SAEs make of it."
    ),
    "examples": Row("hsae.commands.examples", "Keep thumbnails of an artifact's own top images in it."),
    "faithfulness": Row("hsae.commands.faithfulness", "Measure how true relevancy maps are."),
    "figures": Row("hsae.commands.figures", "Draw the figures of a run, as PNG and CSV."),
    "names": Row("hsae.commands.names", "Name latents after WordNet nodes, by rules that unseen images confirm."),
    "nearest": Row("hsae.commands.nearest", "Store what an artifact makes of the starter photographs."),
    "pairs": Row("hsae.commands.pairs", "Tell which features follow object, background, colour, texture or place."),
    "photographs": Row("hsae.commands.photographs", "Measure how true classes and names of labelled photographs are."),
    "places": Row("hsae.commands.places", "Measure where latents of patches fire: at one place, on objects, together."),
    "plan": Row("hsae.commands.plan", "Say what a training run will need, before it begins."),
    "segmentation": Row("hsae.commands.segmentation", "Train and score a head that says what each patch shows."),
    "space": Row("hsae.commands.space", "Write the README of a Space that shows artifacts."),
    "steerable": Row("hsae.commands.steerable", "Find what an artifact's features can turn photographs into."),
    "styles": Row("hsae.commands.styles", "Tell which named features survive grey, edges and mosaic."),
    "within": Row("hsae.commands.within", "Tell whether backbones keep two objects of one picture apart."),
}
RENAMED = {
    "hsae.analysis": "figures",
    "hsae.faithfulness": "faithfulness",
    "hsae.steering": "nearest",
    "hsae.steering.causal": "causal",
    "hsae.steering.segmentation": "segmentation",
}
"""Modules that were commands before 0.2, and what they are called now."""


def main(arguments: list[str]) -> int:
    """Run the command that the first argument names; returns the exit status."""
    name, *rest = arguments or ["--help"]
    if name in COMMANDS:
        return run_command(import_module(COMMANDS[name].module), f"python -m hsae {name}", rest)
    asked = name in ("-h", "--help")
    print(usage() if asked else f"hsae: no command {name[:80]!r}\n{usage()}", file=sys.stdout if asked else sys.stderr)
    return 0 if asked else 2


def usage() -> str:
    """One line per command."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {row.summary}" for name, row in COMMANDS.items()]
    return "\n".join(["usage: python -m hsae COMMAND [--help]", "", *lines])


def renamed(module: str, arguments: list[str]) -> int:
    """Run a command under the spelling it had before, after naming the present one."""
    name = RENAMED[module]
    if module == "hsae.analysis" and arguments[:1] == ["compare"]:
        name, arguments = "compare", arguments[1:]
    print(f"python -m {module} is now: python -m hsae {name}", file=sys.stderr)
    return main([name, *arguments])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
