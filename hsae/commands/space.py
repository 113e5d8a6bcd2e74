"""Write the README of a Space that shows artifacts, which the Hub then fetches while it builds the Space."""

from __future__ import annotations

import argparse
from pathlib import Path

from hsae.artifacts.card import render_space_card
from hsae.artifacts.hub import check_names
from hsae.atomic import write_text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command."""
    parser.add_argument("artifact", nargs="+", help="Hub models org/name, as in the Space's variable HSAE_ARTIFACT")
    parser.add_argument("--out", type=Path, default=Path("space/README.md"), help="file to write")
    parser.add_argument("--title", default="hsae", help="title of the Space")


def run(options: argparse.Namespace) -> None:
    """Write the file and name it."""
    for name in options.artifact:
        check_names(name, "main")
    options.out.parent.mkdir(parents=True, exist_ok=True)
    write_text(options.out, render_space_card(options.artifact, options.title))
    print(options.out)
